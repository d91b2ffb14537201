"""Cards of networks of which only the configuration is known that segmentation_models_pytorch keeps.

Importing this module loads no torch.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_medseg.core import CLASSIFIER, ClassInfo, ModelCard, ModelError, first_problem

from .build import ARCHITECTURES
from .heads import UNSET
from .smp import first_line

MOST_OUTPUTS = 1000  # of a network from elsewhere


def read_config(path: Path) -> ModelCard:
    """Card of the model in whose folder a ``config.json`` lies.

    Raises
    ------
    ModelError
        It describes no network, or none that can be used here.
    """
    note = (
        "Read from a folder of segmentation_models_pytorch without a card: class names, normalisation and pixel size "
        "are guesses."
    )
    try:
        return card_from_config(json.loads(path.read_text(encoding="utf-8")), model_name(path.parent.name), note)
    except ValidationError as error:
        raise ModelError(f"{path} describes a model that cannot be used: {first_problem(error)}.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else first_line(error)
        raise ModelError(
            f"{path} is not a configuration of segmentation_models_pytorch: {reason}.",
            "Save the model with save_pretrained of segmentation_models_pytorch.",
        ) from error


def card_from_config(config: dict[str, Any], name: str, note: str) -> ModelCard:
    """Card of a network of which only the arguments are known, and ``_model_class``; ValueError and others if wrong.

    Raises
    ------
    ModelError
        Its outputs are no background and classes.
    """
    architecture = str(config.pop("_model_class")).lower()
    encoder, channels, outputs = config.pop("encoder_name"), config.pop("in_channels"), config.pop("classes")
    if architecture not in ARCHITECTURES:
        raise ValueError(f"{architecture} is no architecture of segmentation_models_pytorch")
    if not 1 <= int(outputs) <= MOST_OUTPUTS:
        raise ValueError(f"{outputs} classes are too many")
    activation = config.pop("activation", None)
    if activation in ("sigmoid", "logsigmoid"):
        refuse_sigmoid(int(outputs), "The network")
    notes = [note]
    if outputs == 1:
        notes.append("Its one output became background and class 1, divided at probability 0.5.")
    else:
        notes.append("Its first output is taken for the background.")
    if activation:
        notes.append("Its activation was left out; the order of the classes does not change.")
    if config.pop("aux_params", None):
        notes.append("Its classification head was left out.")
    config.pop("encoder_weights", None)
    values = range(1, max(2, int(outputs)))
    return ModelCard(
        name=name, architecture=architecture, encoder=encoder, channels=channels,
        network=config, classes=tuple(ClassInfo.numbered(v) for v in values), description=" ".join(notes),
        presence=UNSET if architecture == CLASSIFIER else None,
    )  # fmt: skip


def refuse_sigmoid(outputs: int, called: str) -> None:
    """Raise ModelError for several outputs that each have a sigmoid: the first is a class then, and no background."""
    if outputs > 1:
        raise ModelError(
            f"{called} has a sigmoid over {outputs} output channels, and networks here have one background and a "
            "softmax.",
            "Only networks with a softmax, or with one output channel, can be imported.",
        )


def model_name(text: str) -> str:
    """Turn a file's or folder's name into one that a model may have."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._") or "model"
