"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile

from napari_medseg.core import OutputError


def write_file(target: Path, writer: Callable[[Path], None], *, overwrite: bool = False) -> None:
    """Let ``writer`` fill a temporary file, then give it its name.

    Raises
    ------
    OutputError
        If ``target`` exists and may not be overwritten, or cannot be written; what was there before stays.
    """
    if target.is_dir():
        raise OutputError(f"{target} is a folder, not a file.", "Choose another name.")
    check_free(target, overwrite=overwrite)
    temporary = _beside(target)
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            writer(temporary)
            flush(temporary)
            check_free(target, overwrite=overwrite)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        flush(target.parent)


def write_text(target: Path, text: str, *, overwrite: bool = True) -> None:
    """Write a small text file, which ends with its last line, whole or not at all; with its folder.

    Raises
    ------
    OutputError
        If it cannot be written, or is there and may not be overwritten; what was there before stays.
    """

    def write(part: Path) -> None:
        part.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")

    write_file(target, write, overwrite=overwrite)


def write_with_companion(
    target: Path, writer: Callable[[Path], None], companion: Path, describe: Callable[[Path], None] | None
) -> None:
    """Replace a file, or a folder that is one, and the small file that describes it.

    Without ``describe`` the old companion goes and none comes.

    No description ever lies beside another file: both are on the disk before anything is replaced, and the old
    companion goes first. A crash in between leaves the old or the new file without a description, never with a wrong
    one; of a folder, which cannot be replaced at once, the old one may be left under a hidden name.

    Raises
    ------
    OutputError
        If they cannot be written; what was there before stays.
    """
    with explained(target), ExitStack() as leftovers:
        target.parent.mkdir(parents=True, exist_ok=True)
        parts = []
        for place, fill in ((target, writer), (companion, describe)):
            if fill is None:
                continue
            part = _beside(place)
            leftovers.callback(_remove, part)
            fill(part)
            for inner in part.rglob("*") if part.is_dir() else ():
                flush(inner)
            flush(part)
            parts.append(part)
        companion.unlink(missing_ok=True)
        if target.is_dir():
            old = target.rename(_beside(target))
            try:
                parts[0].rename(target)
            except OSError:
                old.rename(target)
                raise
            leftovers.callback(_remove, old)
        else:
            parts[0].replace(target)
        if describe is not None:
            parts[1].replace(companion)
        flush(target.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def check_writable(target: Path) -> None:
    """Try whether something can be made where ``target`` shall be; nothing is left behind, even when killed.

    Where the system has files without a name, or removes them itself; elsewhere the name is there for a moment.

    Raises
    ------
    OutputError
        If not, before hours of work are lost.
    """
    place = target if target.is_dir() else target.parent
    with explained(target):
        while not place.exists() and place != place.parent:
            place = place.parent
        with TemporaryFile(dir=place, prefix=".", suffix=".part"):
            pass


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """A new empty folder beside ``target``, or within it when it is a folder already; gone afterwards."""
    parent = target if target.is_dir() else target.parent
    folder = parent / f".{target.name}.{token_hex(4)}.part"
    with explained(target):
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_free(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that exists, unless it may be overwritten.

    Raises
    ------
    OutputError
        Naming it.
    """
    if not overwrite and target.exists():
        raise OutputError(f"{target} exists.", "Choose another name, or allow overwriting.")


def flush(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        if path.is_dir():  # Windows opens no folders
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot
            raise
    finally:
        os.close(handle)


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Turn what the system says about writing into one sentence.

    Raises
    ------
    OutputError
        The system refuses to write.
    """
    try:
        yield
    except OSError as error:
        hints = {
            errno.EFBIG: "Choose a drive that takes files of this size.",
            errno.ENOSPC: "Free some space or choose another drive.",
            errno.EDQUOT: "Free some space or choose another drive.",
            errno.EACCES: "Choose a folder that you may write to.",
            errno.EPERM: "Choose a folder that you may write to.",
            errno.EROFS: "Choose a folder that you may write to.",
            errno.ENOTDIR: "A part of this path is a file, not a folder.",
            errno.ENAMETOOLONG: "Choose a shorter name.",
        }
        hint = hints.get(error.errno or 0, "Choose another place.")
        raise OutputError(f"{target} cannot be written ({error.strerror or error}).", hint) from error


def _beside(target: Path) -> Path:
    """A temporary name that keeps all suffixes, hidden, in the same folder so that renaming is atomic."""
    return target.with_name(f".{token_hex(4)}.part.{target.name}")
