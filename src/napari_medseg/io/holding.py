"""Whether files hold masks or images, before either is read."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.core import InputError

from .registry import format_for, is_folder_format, is_known
from .sidecar import sidecar_path


def holds_masks(source: Path) -> bool:
    """Whether a file or folder was written as masks: it names classes, or can hold nothing else."""
    if sidecar_path(source, folder=source.is_dir()).is_file():
        return True
    if not is_known(source) or (source.is_dir() and not is_folder_format(source)):
        return False
    try:
        form = format_for(source)
        return not form.images or (form.classes is not None and bool(form.classes(source)))
    except InputError:
        return False  # told when it is read
