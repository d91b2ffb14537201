"""A model's folder: ``card.json`` beside ``config.json`` and ``model.safetensors`` exactly as smp writes them.

Importing this module loads no torch; its functions do.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_medseg.core import ModelCard, ModelError, OutputError, first_problem

from .adapt import adapt_network
from .build import QUICK, build_network, outline_network, unwrap
from .configs import read_config

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["CARD", "CONFIG", "MEMORY", "WEIGHTS", "adapt_network", "load_network", "read_card", "save_network"]

CARD, CONFIG, WEIGHTS = "card.json", "config.json", "model.safetensors"
THUMBNAIL = "thumbnail.png"  # of a built-in model: a small picture of what it finds; scripts/starter_thumbnails.py
MEMORY = "memory.zip"  # labelled slices that a model learnt from; napari_medseg.training.memory writes and reads it


def save_network(folder: str | Path, card: ModelCard, network: nn.Module, *, half: bool = False) -> ModelCard:
    """Write a model's folder so that it is there whole or not at all.

    Parameters
    ----------
    folder
        A new folder, or one that holds a model, which is then replaced.
    card
        Describes the network; its ``sha256`` is set anew.
    network
        Built by `build_network`; may be wrapped by ``torch.compile`` or ``DataParallel``, on any device.
    half
        Store weights as float16, in half the space. Vectors (biases, statistics) stay float32.

    Returns
    -------
    ModelCard
        The card as written.

    Raises
    ------
    OutputError
        If the folder holds something else or cannot be written; nothing is changed then.
    ModelError
        If a weight is not finite.
    """
    folder = Path(folder)
    _recover(folder)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / CONFIG).exists())):
        raise OutputError(f"{folder} exists and is not a model's folder.", "Choose another folder.")
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
        card = write_model(part, card, network, half=half)
        replace_folder(part, folder)
    except OSError as error:
        raise OutputError(f"The model cannot be written to {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return card


def write_model(folder: Path, card: ModelCard, network: nn.Module, *, half: bool = False) -> ModelCard:
    """Write the three files into an existing folder, the card last."""
    from safetensors.torch import save_model

    bare = unwrap(network)
    check_finite(bare.state_dict(), card.name)
    write_config(folder, bare)
    save_model(_halved(bare) if half else bare, str(folder / WEIGHTS))
    shutil.copymode(folder / CONFIG, folder / WEIGHTS)  # safetensors makes files that only their owner may read
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    return write_card(folder, card.model_copy(update={"sha256": digest}))


def write_config(folder: Path, network: nn.Module) -> None:
    """Write what smp opens the network by."""
    bare = unwrap(network)
    config = {**bare.config, "_model_class": type(bare).__name__}
    (folder / CONFIG).write_text(json.dumps(config, sort_keys=True, indent=2), encoding="utf-8")


def write_card(folder: Path, card: ModelCard) -> ModelCard:
    """Write ``card.json``, see the folder's files onto the disk, and return the card as it reads back."""
    text = card.model_dump_json(indent=2)
    (folder / CARD).write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    return ModelCard.model_validate_json(text)


def replace_folder(new: Path, folder: Path) -> None:
    """Put ``new`` in the place of ``folder``; what was there is kept aside until that is done."""
    aside = _aside(folder)
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    new.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _recover(folder: Path) -> None:
    """After a power cut between the two renames of `replace_folder`, bring the earlier model back."""
    if not folder.exists() and (_aside(folder) / CARD).exists():
        _aside(folder).rename(folder)


def _halved(network: nn.Module) -> nn.Module:
    import torch

    network = copy.deepcopy(network).cpu()
    largest = torch.finfo(torch.float16).max
    for parameter in network.parameters():
        if parameter.ndim > 1 and parameter.dtype == torch.float32 and float(parameter.detach().abs().max()) < largest:
            parameter.data = parameter.data.half()
    return network


def check_finite(state: dict[str, Tensor], name: str) -> None:
    """Raise a `ModelError` that names the first weight with a NaN or an infinity."""
    import torch

    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"The weights of {name} are not usable: {key} holds values that are not finite numbers.",
                "Training has probably diverged; use an earlier version or train again.",
            )


def read_card(folder: str | Path) -> ModelCard:
    """Read a model's card without its weights; smp's own folders get one made from ``config.json``.

    Parameters
    ----------
    folder
        Of the model; its weights need not be there.

    Returns
    -------
    ModelCard
        Of smp's own folders, classes and normalisation are guesses, and its description says so.

    Raises
    ------
    ModelError
        If there is no model in the folder or its card is not valid.
    """
    folder = Path(folder)
    _recover(folder)
    if (folder / CARD).is_file():
        try:
            return ModelCard.model_validate_json((folder / CARD).read_text(encoding="utf-8"))
        except ValidationError as error:
            raise ModelError(f"{folder / CARD} is not a model's card: {first_problem(error)}.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{folder / CARD} cannot be read: {error}.") from error
    if (folder / CONFIG).is_file():
        return read_config(folder / CONFIG)
    raise ModelError(
        f"There is no model in {folder}: it has neither {CARD} nor {CONFIG}.",
        "A model's folder holds config.json and model.safetensors, as segmentation_models_pytorch saves them.",
    )


def load_network(folder: str | Path) -> tuple[ModelCard, nn.Module]:
    """Load a model from its folder, on the CPU, in float32, ready for inference (``eval`` mode).

    Parameters
    ----------
    folder
        With ``card.json``, or smp's ``config.json``, and ``model.safetensors``.

    Returns
    -------
    tuple
        The card (with the hash of the weights) and the network.

    Raises
    ------
    ModelError
        If a file is missing, truncated, not what its card describes, not finite, or does not fit the architecture.
    """
    import safetensors
    import safetensors.torch

    folder = Path(folder)
    card = read_card(folder)
    path = folder / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The weights {path} cannot be read: {error.strerror}.") from error
    try:
        state = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is truncated or damaged.", "Copy or download the model again.") from error
    digest = hashlib.sha256(content).hexdigest()
    if card.sha256 and digest != card.sha256:
        raise ModelError(
            f"{path} is not the file that its card describes: their hashes differ.",
            "Copy or download the model again; if you changed the weights on purpose, empty 'sha256' in card.json.",
        )
    check_finite(state, card.reference)
    return card.model_copy(update={"sha256": digest}), fill_network(card, state, str(path))


def fill_network(card: ModelCard, state: dict[str, Tensor], source: str) -> nn.Module:
    """Build the network of ``card`` and give it the weights of ``state``, which must fit exactly.

    A single output (logit z of the foreground) becomes the two outputs 0 and z: softmax of these is sigmoid of z.

    Raises
    ------
    ModelError
        The weights do not fit the network of the card, or are damaged.
    """
    import torch

    network = outline_network(card)
    wanted = network.state_dict()
    state = {k: v for k, v in state.items() if k in wanted or not k.startswith("classification_head.")}
    for key, value in state.items():
        if key.startswith("segmentation_head.") and key in wanted and card.out_channels == 2:
            wide = wanted[key].shape[:1] == (2,) and value.shape == (1, *wanted[key].shape[1:])
            state[key] = torch.cat([torch.zeros_like(value), value]) if wide else value
    problem = _misfit(wanted, state)
    if problem:
        raise ModelError(
            f"The weights in {source} do not fit {card.architecture} with the encoder {card.encoder}: {problem}.",
            "The architecture, the encoder, the channels and the classes must be those the weights were trained with.",
        )
    if any(value.is_meta for value in wanted.values()):
        network = build_network(card)
    network.load_state_dict(state)
    if card.architecture == QUICK:
        from .quick import QuickNetwork

        if isinstance(network, QuickNetwork) and (problem := network.find_problem()):
            raise ModelError(f"The weights in {source} are damaged: {problem}.", "Copy or download the model again.")
    return network.eval()


def _misfit(wanted: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    if missing := [key for key in wanted if key not in state]:
        return f"{len(missing)} are missing, the first is {missing[0]}"
    if surplus := [key for key in state if key not in wanted]:
        return f"{len(surplus)} are too many, the first is {surplus[0]}"
    for key, value in wanted.items():
        if value.shape != state[key].shape:
            return f"{key} has the shape {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        if value.is_floating_point() and not state[key].is_floating_point():  # quantised ones lack their scale
            return f"{key} holds {str(state[key].dtype).removeprefix('torch.')} numbers, not floating-point ones"
    return ""
