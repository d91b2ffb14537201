"""The library's doors: models from elsewhere, and models for elsewhere. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from napari_medseg.core import ModelCard

from .configs import model_name
from .export import export_to
from .foreign import import_file, import_folder
from .library import find_model
from .weights import CARD


def import_model(path: str | Path, name: str = "", *, network: str = "", part: str = "") -> ModelCard:
    """Add a model from elsewhere to the library.

    Parameters
    ----------
    path
        A model's folder (ours or smp's), a package of bioimage.io, either of them as ``.zip`` or ``.tar``,
        ``hf:owner/repository``, or bare weights (``.safetensors``, ``.pt``, ``.pth``, ``.ckpt``). Nothing in
        it is ever run.
    name
        Its name in the library; that of the card or the file if empty.
    network
        ``architecture:encoder``, needed for bare weights only.
    part
        Of a file with several networks, such as the weights and their average, the one that is meant: ``model_ema``.
        What there is, is said where none is named.

    Returns
    -------
    ModelCard
        With the version it has in the library. Where the files tell less than a card needs, its description says what
        was guessed.

    Raises
    ------
    ModelError
        If it is no model, is damaged, could run code, or does not fit the architecture.
    """
    if str(path).startswith("hf:"):
        folder = find_model(str(path))
        if not name and not (folder / CARD).is_file():  # the folder is called by its revision, a hash
            name = model_name(str(path).partition("@")[0].rpartition("/")[2])
        return import_folder(folder, name, network, part)
    path = Path(path).expanduser()
    if path.is_dir():
        return import_folder(path, name, network, part)
    return import_file(path, name, network, part)


def export_model(
    name: str | Path,
    out: str | Path,
    format: Literal["folder", "zip", "onnx", "bioimageio"] | None = None,
    *,
    with_memory: bool = False,
    authors: Sequence[str] = (),
    licence: str = "",
) -> Path:
    """Write a model for other people or programs.

    Parameters
    ----------
    name
        A reference as `find_model` takes it.
    out
        The new folder or file.
    format
        What the name tells if None: ``.zip``, ``.onnx``, else a folder.
        ``"folder"`` opens anywhere with ``segmentation_models_pytorch.from_pretrained``, unless the architecture is one
        that the library lacks (``fcn8s``, ``classifier``, ``quick``);
        ``"bioimageio"`` is a ``.zip`` for bioimage.io and the programs that run its models.
    with_memory
        Whether the labelled slices that it remembers go along; they are pictures of those it was trained on.
    authors
        Who made the model, for bioimage.io.
    licence
        What others may do with it, written into its card: an identifier of SPDX, or its words. Where its card has
        another, the model must have been trained from one under a permissive licence.

    Returns
    -------
    Path
        What was written, whole: nothing is left of it after a failure.

    Raises
    ------
    ModelError
        There is no such model, its licence does not allow that, or the format cannot hold it.
    OutputError
        The place is taken or cannot be written.
    """
    folder, out = find_model(name), Path(out).expanduser()
    return export_to(folder, out, format or "", with_memory=with_memory, authors=authors, licence=licence)
