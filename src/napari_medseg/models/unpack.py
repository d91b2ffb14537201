"""Archives with models: what is needed is taken out, and nothing lands outside, as a link or larger than it claims."""

from __future__ import annotations

import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from napari_medseg.core import ModelError

from .configs import model_name
from .package_in import DESCRIPTIONS, read_source
from .weights import CARD, CONFIG, MEMORY, WEIGHTS

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")

_LARGEST = 4 * 2**30  # bytes of one file of a model; the largest encoders of timm have 2.6 GB
_DENSEST = 100  # times that weights may shrink in an archive; they shrink by 1.1, a bomb by 1000

DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError,
    ValueError, LookupError, OverflowError,
)  # fmt: skip
"""What the readers of archives raise when one is damaged."""


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    packed: int
    plain: bool  # an ordinary file: neither folder, link nor device
    folder: bool
    open: Callable[[], IO[bytes] | None]


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give a temporary folder with the model files of a ``.zip`` or ``.tar``.

    Raises
    ------
    ModelError
        If any member has a path that leads out, is a link, or unpacks to an unlikely size; nothing is written then.
    """
    with tempfile.TemporaryDirectory(prefix="napari-medseg-") as name:
        folder = Path(name) / model_name(path.name.partition(".")[0])
        folder.mkdir()
        try:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    _unpack(path.name, list(_zip_members(archive)), folder)
            else:
                with tarfile.open(path) as archive_tar:
                    _unpack(path.name, list(_tar_members(archive_tar, path.stat().st_size)), folder)
        except DAMAGE as error:
            # Where nothing fits, tarfile tells of each compression that it tried, in a line each.
            said = "it is truncated or damaged" if "\n" in str(error) else str(error)
            raise ModelError(f"{path.name} cannot be unpacked: {said}.", "Copy or download it again.") from error
        yield folder


@contextmanager
def told_as(folder: Path, name: str) -> Iterator[None]:
    """Let errors name what a temporary folder was made of, in the folder's place.

    Raises
    ------
    ModelError
        What was raised within, with the name of the source.
    """
    try:
        yield
    except ModelError as error:
        raise ModelError(error.message.replace(str(folder), name), error.hint.replace(str(folder), name)) from error


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        kind = (info.external_attr >> 16) & 0o170000
        plain = not info.is_dir() and kind in (0, 0o100000)
        open_ = partial(archive.open, info)
        yield _Member(info.filename, info.file_size, info.compress_size, plain, info.is_dir(), open_)


def _tar_members(archive: tarfile.TarFile, packed: int) -> Iterator[_Member]:
    total = 0
    for info in archive:
        total += info.size
        if total > 3 * _LARGEST:
            raise ModelError(f"{Path(str(archive.name)).name} claims to hold more than {3 * _LARGEST >> 30} GiB.")
        yield _Member(info.name, info.size, packed, info.isreg(), info.isdir(), partial(archive.extractfile, info))


def _unpack(archive: str, members: list[_Member], folder: Path) -> None:
    """Take a model's own files out, or those that a bioimage.io package names."""
    found: dict[str, _Member] = {}
    described = [m for m in members if m.plain and PurePosixPath(m.name).name in DESCRIPTIONS]
    for member in members:
        posix, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
        if posix.is_absolute() or windows.drive or windows.root or ".." in {*posix.parts, *windows.parts}:
            raise ModelError(f"{archive} wants to write outside its folder ({member.name!r}) and is refused.")
        if not member.plain and not member.folder:
            raise ModelError(f"{archive} holds a link or a device ({member.name!r}) and is refused.")
        if not described:  # a package holds pictures, too, of which nothing is taken out
            _check_size(archive, member)
        if member.plain and posix.name in (CARD, CONFIG, MEMORY, WEIGHTS):
            if posix.name in found:
                raise ModelError(f"{archive} holds more than one {posix.name}.", "Import one model at a time.")
            found[posix.name] = member
    if described:
        _take(archive, described[0], folder, DESCRIPTIONS[0])
        wanted = PurePosixPath(described[0].name).parent / read_source(folder, archive)
        found |= {PurePosixPath(m.name).name: m for m in members if m.plain and PurePosixPath(m.name) == wanted}
    for name, member in found.items():
        _take(archive, member, folder, name)


def _check_size(archive: str, member: _Member) -> None:
    if member.size > _LARGEST or (member.size > 2**20 and member.size > _DENSEST * max(member.packed, 1)):
        raise ModelError(
            f"{archive} is refused: {member.name!r} would unpack to {member.size / 2**20:.0f} MiB, which no model "
            "needs."
        )


def _take(archive: str, member: _Member, folder: Path, name: str) -> None:
    _check_size(archive, member)
    source = member.open()
    if source is None:
        raise ModelError(f"{archive} holds an unreadable {name}.")
    with source, (folder / name).open("wb") as target:
        left = member.size  # what was checked above; a member that goes on beyond its claim is a bomb
        while block := source.read(2**20):
            left -= len(block)
            if left < 0:
                raise ModelError(f"{archive} is refused: {name} is larger than it claims.")
            target.write(block)
