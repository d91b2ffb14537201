"""Labels of a slide: an OME-Zarr pyramid that fills up in any order while it is looked at.

Source: OME-NGFF specification 0.5.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Geometry, InputError
from napari_medseg.io.atomic import check_free, explained
from napari_medseg.io.pyramid import count_levels, halve

from .chunks import Array, ChunkFiles, Place, children, places_in, simplest
from .image import explained as explained_reading
from .metadata import OWN, describe_labels, ome_attributes, read_label_classes, read_multiscale, read_own_geometry

CHUNK, LARGE_CHUNK = 512, 1024
LARGE_SIDE = 32_768
"""Beyond this side chunks are larger, or a slide would have too many files."""

_locks: defaultdict[Path, RLock] = defaultdict(RLock)


class LabelPyramid:
    """Labels of a single image and their smaller levels, in chunks that one program writes.

    Each level is made from the one before by `io.pyramid.halve`: of four pixels the value most of them have. What has
    no result counts like any other value, and a tie goes, as between classes, to the pixel that comes first; so the
    rim of what is computed may be off by half a pixel of that level until its other side is there. No level depends
    on the order in which chunks were written, nor on whether it was built on the way or afterwards.

    Attributes
    ----------
    path
        The folder.
    shape, dtype, chunk
        Of the largest level: (Y, X), type, and side of its chunks, which is that of the chunks of all levels.
    not_computed
        Value of pixels without a result; chunks that were never written read as this.
    geometry, classes
        Place of the first level, and what the values mean.
    levels
        The arrays, large to small, to be read.
    lock
        Held while a chunk is read, changed and written; the same for all pyramids of this path in this process.
        Other processes are held off by who calls.

    Raises
    ------
    InputError
        It was not made by segmenting a slide, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        import zarr

        with explained_reading(path):
            group = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
            attributes: Mapping[str, Any] = dict(group.attrs)
            ome = ome_attributes(attributes)
            about = read_multiscale(ome)
            names = [str(d["path"]) for d in ome["multiscales"][0]["datasets"]]
            self.levels: tuple[Any, ...] = tuple(group[name] for name in names)
            first = self.levels[0]
            self.shape: Place = (int(first.shape[0]), int(first.shape[1]))
            self.dtype: np.dtype[Any] = np.dtype(first.dtype)
            self.chunk = int(first.chunks[0])
            try:
                self.not_computed = int(attributes[OWN]["not_computed"])
            except (LookupError, TypeError, ValueError) as error:
                raise InputError(
                    f"{path.name} was not made by segmenting a slide.", "Choose another result."
                ) from error
        self.path = path
        self.geometry = read_own_geometry(attributes, self.shape, about.geometry())
        self.classes = read_label_classes(ome)
        self.lock = _locks[path.resolve()]
        fill = self.dtype.type(self.not_computed)
        self._files = [
            ChunkFiles(path / name, (int(a.shape[0]), int(a.shape[1])), self.chunk, fill)
            for name, a in zip(names, self.levels, strict=True)
        ]

    @classmethod
    def open(cls, path: Path) -> LabelPyramid:
        """Open what `create` made.

        Raises
        ------
        InputError
            There is none, or it is damaged.
        """
        return cls(path)

    @classmethod
    def create(
        cls,
        path: Path,
        shape: tuple[int, int],
        dtype: npt.DTypeLike,
        geometry: Geometry,
        classes: Sequence[ClassInfo],
        not_computed: int,
    ) -> LabelPyramid:
        """Make a pyramid in which nothing is computed yet.

        Raises
        ------
        OutputError
            Something is there already, or the folder cannot be written to.
        """
        import zarr
        from zarr.codecs import ZstdCodec

        check_free(path, overwrite=False)
        chunk = CHUNK if max(shape) <= LARGE_SIDE else LARGE_CHUNK
        sizes = [shape]
        for _ in range(count_levels(shape)):
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        attributes = describe_labels(geometry, classes, len(sizes))
        attributes[OWN]["not_computed"] = not_computed
        part = path.with_name(f".{token_hex(4)}.part.{path.name}")
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                group = zarr.create_group(part, zarr_format=3, attributes=attributes)
                for n, size in enumerate(sizes):
                    group.create_array(
                        str(n), shape=size, chunks=(chunk, chunk), dtype=np.dtype(dtype), fill_value=not_computed,
                        dimension_names=["y", "x"], compressors=ZstdCodec(),
                    )  # fmt: skip
                part.rename(path)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        return cls(path)

    @property
    def count(self) -> Place:
        """Rows and columns of chunks of the largest level."""
        return self._files[0].count

    def window(self, place: Place) -> tuple[slice, slice]:
        """Rows and columns of a chunk of the largest level."""
        (top, left), (height, width) = (n * self.chunk for n in place), self._files[0].size(place)
        return slice(top, top + height), slice(left, left + width)

    def written(self, place: Place) -> bool:
        """Whether a chunk of the largest level was ever written."""
        return self._files[0].written(place)

    def chunks_in(self, rows: slice, columns: slice) -> Iterator[Place]:
        """Chunks of the largest level that a rectangle touches."""
        yield from places_in(self._inside(rows, columns), self.chunk)

    def read(self, rows: slice, columns: slice) -> Array:
        """Values of a rectangle of the largest level."""
        (top, bottom), (left, right) = self._inside(rows, columns)
        values = np.full((bottom - top, right - left), self.not_computed, self.dtype)
        for place in places_in(((top, bottom), (left, right)), self.chunk):
            there, here = self._overlap(place, (top, left), values.shape)
            if (chunk := self._files[0].read(place)) is not None:
                values[there] = chunk[here]
        return values

    def write(self, rows: slice, columns: slice, values: Array) -> None:
        """Write whole chunks and the smaller levels above them.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        (top, bottom), (left, right) = self._inside(rows, columns)
        whole = top % self.chunk == 0 == left % self.chunk and all(
            end == n or end % self.chunk == 0 for end, n in zip((bottom, right), self.shape, strict=True)
        )
        if not whole:
            raise ValueError(f"{rows}, {columns} are not whole chunks of {self.chunk}")
        chunks = {}
        for place in places_in(((top, bottom), (left, right)), self.chunk):
            there, _ = self._overlap(place, (top, left), values.shape)
            chunks[place] = values[there]
        with self.lock:
            self.write_chunks(chunks)
            self.build_above(chunks)

    def put(self, rows: slice, columns: slice, values: Array) -> None:
        """Write any rectangle, and the smaller levels above it.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        (top, bottom), (left, right) = self._inside(rows, columns)
        with self.lock:
            chunks: dict[Place, Array] = {}
            for place in places_in(((top, bottom), (left, right)), self.chunk):
                there, here = self._overlap(place, (top, left), values.shape)
                chunk = self._read_or_empty(0, place)
                chunk[here] = values[there]
                chunks[place] = chunk
                self.write_chunks({place: chunk})
            self.build_above(chunks)

    def write_chunks(self, chunks: Mapping[Place, Array | int]) -> None:
        """Write chunks of the largest level only; one number stands for a chunk full of it."""
        with explained(self.path):
            for place, values in chunks.items():
                self._files[0].write(place, values)

    def build_above(self, chunks: Mapping[Place, Array | int] | Collection[Place]) -> None:
        """Bring the smaller levels up to date with chunks of the largest, which are read where no values are given."""
        known = chunks if isinstance(chunks, Mapping) else {}
        changed = [{*chunks}]
        for _ in self.levels[1:]:
            changed.append({(i // 2, j // 2) for i, j in changed[-1]})
        with self.lock, explained(self.path):
            for place in sorted(changed[-1]) if len(changed) > 1 else ():
                self._build(len(changed) - 1, place, changed, known)

    def build_levels(self, rows: slice | None = None) -> None:
        """Build the smaller levels above all chunks that are written, or above those that touch some rows."""
        self.build_above([p for p in self.chunks_in(rows or slice(None), slice(None)) if self.written(p)])

    def clean(self, rows: Iterable[int] | None = None, *, above: bool = True) -> None:
        """Remove unfinished files of a program that was killed, in some or all rows of the largest level's chunks."""
        self._files[0].clean(range(self.count[0]) if rows is None else rows)
        for files in self._files[1:] if above else ():
            files.clean(range(files.count[0]))

    def _build(
        self, level: int, place: Place, changed: list[set[Place]], known: Mapping[Place, Array | int]
    ) -> Array | int:
        """Bring one chunk and all below it up to date, depth first: few chunks are in memory at a time."""
        below = self._files[level - 1]
        below_it = [(i, j) for i, j in children(place) if i < below.count[0] and j < below.count[1]]
        values: dict[Place, Array | int] = {}
        for child in below_it:
            if child not in changed[level - 1]:
                continue
            if level > 1:
                values[child] = self._build(level - 1, child, changed, known)
            else:
                values[child] = known[child] if child in known else simplest(self._read_or_empty(0, child))
        uniform = {v if isinstance(v, int) else None for v in values.values()}
        result: Array | int | None = uniform.pop() if len(uniform) == 1 and len(values) == len(below_it) else None
        if result is None:
            result = self._read_or_empty(level, place)
            half = self.chunk // 2
            for (i, j), child_values in values.items():
                size = below.size((i, j))
                top, left = (i - 2 * place[0]) * half, (j - 2 * place[1]) * half
                part = child_values if isinstance(child_values, int) else halve(child_values)
                result[top : top + (size[0] + 1) // 2, left : left + (size[1] + 1) // 2] = part
        self._files[level].write(place, result)
        return result

    def _read_or_empty(self, level: int, place: Place) -> Array:
        chunk = self._files[level].read(place)
        return np.full(self._files[level].size(place), self.not_computed, self.dtype) if chunk is None else chunk

    def _inside(self, rows: slice, columns: slice) -> tuple[Place, Place]:
        (top, bottom, _), (left, right, _) = (s.indices(n) for s, n in zip((rows, columns), self.shape, strict=True))
        return (top, max(top, bottom)), (left, max(left, right))

    def _overlap(
        self, place: Place, corner: Place, size: tuple[int, ...]
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where a chunk lies in a rectangle, and the rectangle in the chunk."""
        there, here = [], []
        for n, first, length, window in zip(place, corner, size, self.window(place), strict=True):
            begin, end = max(window.start, first), min(window.stop, first + length)
            there.append(slice(begin - first, end - first))
            here.append(slice(begin - n * self.chunk, end - n * self.chunk))
        return (there[0], there[1]), (here[0], here[1])
