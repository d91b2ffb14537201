"""What a model is on disk and in memory. Importing this loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.core import ModelCard

from .build import architectures, build_network, encoders, size_multiple
from .exchange import export_model, import_model
from .library import add_model, check_library, find_model, library_home, list_models
from .names import rename_model
from .remove import remove_model
from .starts import is_start, start_card, start_network
from .weights import adapt_network, load_network, read_card, save_network

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Model",
    "adapt_network",
    "add_model",
    "architectures",
    "build_network",
    "check_library",
    "encoders",
    "export_model",
    "find_model",
    "import_model",
    "is_start",
    "library_home",
    "list_models",
    "load_model",
    "load_network",
    "read_card",
    "remove_model",
    "rename_model",
    "save_network",
    "size_multiple",
    "start_card",
    "start_network",
]


@dataclass(frozen=True)
class Model:
    """A model in memory: its card, its network (``eval`` mode, CPU, float32) and the folder it came from."""

    card: ModelCard
    network: nn.Module
    folder: Path


def load_model(reference: str | Path | Model) -> Model:
    """Find and load a model.

    Parameters
    ----------
    reference
        A library name, ``name@version``, a folder or ``hf:owner/repository``; a model comes back as it is.

    Returns
    -------
    Model
        With its network on the CPU, in ``eval`` mode and float32.

    Raises
    ------
    ModelError
        If it is not there, damaged, or not what its card says.
    """
    if isinstance(reference, Model):
        return reference
    folder = find_model(reference)
    card, network = load_network(folder)
    return Model(card, network, folder)
