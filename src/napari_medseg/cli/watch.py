"""The files of an image while a run reads them: results of files that change belong to no image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from napari_medseg.core import Image, InputError

Stamp = tuple[int, int]


@dataclass(frozen=True)
class Watch:
    """Size and time of change of an image's files, as they were when it was opened.

    Attributes
    ----------
    stamps
        Of each file.
    slices
        Which file each slice lies in, where slices have files of their own.
    """

    stamps: dict[Path, Stamp]
    slices: tuple[Path, ...] = ()

    @classmethod
    def of(cls, image: Image) -> Watch:
        """Look at the files of an image; one that came from no file has none."""
        if image.source is None or not image.source.exists():
            return cls({})
        files, slices = _files(image.source, image.names)
        if image.others:  # a slice has several files then
            slices = ()
            files += [path for other in image.others for path in _files(other, ())[0]]
        return cls({path: stamp for path in files if (stamp := _stamp(path))}, slices)

    @property
    def digest(self) -> str:
        """A short text that differs when any file does."""
        known = sorted((path.name, stamp) for path, stamp in self.stamps.items())
        return blake2b(repr(known).encode(), digest_size=12).hexdigest()

    def check(self, z: int | None = None) -> None:
        """Compare the file of a slice, or all files, with what they were.

        Raises
        ------
        InputError
            One has changed or is gone.
        """
        one = z is not None and z < len(self.slices)
        for path in (self.slices[z],) if one and z is not None else self.stamps:
            before = self.stamps.get(path)
            if before is not None and (now := _stamp(path)) != before:
                what = "was removed" if now is None else "has changed"
                raise InputError(
                    f"{path.name} {what} while it was being segmented; what was finished before is kept.",
                    "Wait until the image is complete, then start anew with --overwrite or another output.",
                )


def _files(source: Path, names: Sequence[str]) -> tuple[list[Path], tuple[Path, ...]]:
    """The files that an image lies in, and those of its slices where each has its own."""
    if not source.is_dir():
        return [source], ()
    own = tuple(source / name for name in names)
    if own and all(path.is_file() for path in own):
        return list(own), own
    if names:  # in folders within
        wanted = {*names}
        return [path for path in source.rglob("*") if path.name in wanted and path.is_file()], ()
    return [path for path in source.iterdir() if not path.name.startswith(".")], ()


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
