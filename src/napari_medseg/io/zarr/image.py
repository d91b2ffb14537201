"""One image of an OME-Zarr folder: found, opened, and its damage told in one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Geometry, InputError, MedsegError
from napari_medseg.io.pixels import damaged

from .metadata import Multiscale, list_images, ome_attributes, read_multiscale, read_own_geometry

MOST_TIMES = 1000


class ZarrImage:
    """An image of an OME-Zarr: what its group says, and the array of its first level.

    Attributes
    ----------
    ome
        What the specification names of the group's attributes.
    about, array
        Axes and place of the first level, and that itself; nothing of it is decoded.
    sizes
        Length of each axis.
    time
        The time point, where there are slices at several.

    Raises
    ------
    InputError
        It is no OME-Zarr that can be shown, is damaged, or has no such part.
    """

    def __init__(self, path: Path, part: int) -> None:
        with explained(path):
            root = open_root(path)
            parts = list_parts(path, root)
            if not 0 <= part < len(parts):
                raise InputError(f"{path.name} holds {len(parts)} images, no number {part + 1}.")
            where, self.time = parts[part]
            group = root[where] if where else root
            self.attributes: Mapping[str, Any] = dict(group.attrs)
            self.ome = ome_attributes(self.attributes)
            self.about: Multiscale = read_multiscale(self.ome)
            self.array: Any = group[_inside(path, where, self.about.path)]
            self._group, self._place = group, (path, where)
            shape = tuple(int(n) for n in self.array.shape)
            if len(shape) != len(self.about.axes) or 0 in shape:
                raise InputError(f"{path.name} says {self.about.axes} of an array of {shape}.", "Export it again.")
            self.sizes = dict(zip(self.about.axes, shape, strict=True))
        if np.dtype(self.array.dtype).kind not in "buif":
            raise InputError(f"{path.name} holds {self.array.dtype}, no numbers to show.", "Export it again.")

    def smaller(self) -> list[Any]:
        """Arrays of the smaller levels, as far as they are there and each is smaller than the one before."""
        path, where = self._place
        found, last = [], self.array
        with explained(path):
            for step in self.about.smaller:
                inside = _inside(path, where, step)
                level: Any = self._group.get(inside, None)
                like = level is not None and getattr(level, "dtype", None) == self.array.dtype
                if not like or not _is_below(level.shape, last.shape, self.about.axes):
                    break
                found.append(level)
                last = level
        return found

    @property
    def depth(self) -> str:
        """The axis that slices are counted along: depth, or time where there is none."""
        over_time = self.time is None and self.sizes.get("t", 1) > 1 and self.sizes.get("z", 1) == 1
        return "t" if over_time else "z"

    @property
    def slices(self) -> int:
        return self.sizes.get(self.depth, 1)

    @property
    def channels(self) -> int:
        return self.sizes.get("c", 1)

    def geometry(self) -> Geometry:
        told = self.about.geometry()
        own = read_own_geometry(self.attributes, [self.sizes[a] for a in self.about.axes if a in "zyx"], told)
        return own.flat if self.depth == "t" and own.ndim == 3 else own


class Voxels:
    """An array whose damage is told in one sentence."""

    def __init__(self, path: Path, array: Any) -> None:
        self._path, self._array = path, array
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, pixel_type(array)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        with explained(self._path):
            return np.asarray(self._array[index]).astype(self.dtype, copy=False)


def _is_below(shape: tuple[int, ...], above: tuple[int, ...], axes: str) -> bool:
    """Whether a level is the one above with fewer rows and columns."""
    if len(shape) != len(above) or 0 in shape:
        return False
    plane = [(a, b) for a, b, axis in zip(shape, above, axes, strict=True) if axis in "yx"]
    rest = [a == b for a, b, axis in zip(shape, above, axes, strict=True) if axis not in "yx"]
    return all(rest) and all(a <= b for a, b in plane) and any(a < b for a, b in plane)


def pixel_type(array: Any) -> np.dtype[Any]:
    dtype = np.dtype(array.dtype)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")


def open_root(path: Path) -> Any:
    import zarr

    from .store import CheckedStore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = CheckedStore(path, read_only=True)
        return zarr.open_group(store, mode="r", use_consolidated=False)


def list_parts(path: Path, root: Any) -> list[tuple[str, int | None]]:
    """Path of the group of each image, and the time point where there are slices at several.

    Raises
    ------
    InputError
        Its metadata name no image.
    """
    ome = ome_attributes(dict(root.attrs))
    if "multiscales" in ome:
        groups = [""]
    elif wells := list_images(ome):
        fields = ((w, ome_attributes(dict(root[_inside(path, w)].attrs)).get("well") or {}) for w in wells)
        groups = [f"{w}/{image['path']}" for w, well in fields for image in well.get("images") or ()]
    elif isinstance(ome.get("labels"), list):
        groups = [str(name) for name in ome["labels"]]
    else:
        groups = sorted((str(k) for k in root.group_keys() if str(k).isdigit()), key=int)
    parts: list[tuple[str, int | None]] = []
    for where in groups:
        group = root[_inside(path, where)] if where else root
        about = read_multiscale(ome_attributes(dict(group.attrs)))
        shape = group[_inside(path, where, about.path)].shape
        sizes = dict(zip(about.axes, shape, strict=False))
        split = sizes.get("t", 1) > 1 and sizes.get("z", 1) > 1
        parts += [(where, time) for time in range(min(int(sizes["t"]), MOST_TIMES))] if split else [(where, None)]
    if not parts:
        raise InputError(f"{path.name} is no OME-Zarr: its metadata names no image.", "Choose the image within it.")
    return parts


def _inside(path: Path, *steps: str) -> str:
    """The last step, refused where it leads out of the folder."""
    target = path.joinpath(*steps)
    if not target.resolve().is_relative_to(path.resolve()) or ".." in Path(steps[-1]).parts:
        raise InputError(f"{path.name} names '{steps[-1]}', which lies outside of it.", "It is damaged or made up.")
    return steps[-1]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Damaged metadata and chunks raise whatever the codecs and the library do: one sentence for all of it.

    Raises
    ------
    InputError
        What is read within is damaged, not there, or takes more memory than there is.
    """
    try:
        yield
    except MedsegError:
        raise
    except MemoryError as error:
        raise InputError(f"{path.name} takes more memory than there is.", "Save it in smaller chunks.") from error
    except FileNotFoundError as error:
        raise InputError(
            f"{path.name} is no OME-Zarr, or a part of it is not there.",
            "Choose the folder that its zarr.json lies in.",
        ) from error
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise damaged(path, reason[0][:200] if reason else type(error).__name__) from error
