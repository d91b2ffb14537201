"""Networks that have not learnt what they shall find: from random weights, or from weights that know other things.

Importing this module loads no torch; its functions do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_medseg.core import ClassInfo, ModelCard, ModelError, Normalisation

from .build import ARCHITECTURES, build_network, check_names
from .heads import UNSET
from .hub import hub_reached
from .smp import CLASSIFIER, import_smp
from .weights import load_network, read_card

if TYPE_CHECKING:
    from torch import Tensor, nn

PHANTOMS = Path(__file__).parent / "pretrained" / "phantoms"
"""Folder of the encoder and decoder that ``+phantoms`` takes: trained on made-up images, part of the package."""

KNOWN = {"imagenet": "ImageNet (encoder only)", "phantoms": "made-up images of many kinds"}
"""What weights behind a ``+`` were trained on; ImageNet's are downloaded."""

# Half of smp's own widths: a training step on a CPU is a third shorter, with the same Dice on the sample tasks.
LIGHT_DECODER = (128, 64, 32, 16, 16)

# Mean and spread of ImageNet's colours, which the downloaded encoders were trained with (values between 0 and 1).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def is_start(reference: str) -> bool:
    """Whether a reference names a fresh start (``unet:resnet18``, ``unet:resnet18+imagenet``, ``quick``)."""
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
        ``architecture:encoder``, with ``+imagenet`` appended to start from downloaded encoder weights, or
        ``+phantoms`` for those of the package, which know made-up images; see `PHANTOMS`.
    name, classes, channels, neighbours
        As in `ModelCard`.
    normalisation
        The card's default, if None. With ``+imagenet``, ImageNet's mean and spread are added where it has none.

    Raises
    ------
    ModelError
        If the spec is not of that form, or names what does not exist.
    """
    base, _, weights = spec.partition("+")
    if not is_start(base) or is_quick_start(base) or weights not in ("", *KNOWN):
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
    if weights == "phantoms":
        network = dict(_phantoms(base).network)
    values = normalisation or Normalisation()
    if weights == "imagenet" and not values.mean:
        colour = channels == 3
        mean = IMAGENET_MEAN if colour else (round(sum(IMAGENET_MEAN) / 3, 3),) * channels
        std = IMAGENET_STD if colour else (round(sum(IMAGENET_STD) / 3, 3),) * channels
        values = values.model_copy(update={"mean": mean, "std": std})
    try:
        return ModelCard(
            name=name, architecture=architecture.lower(), encoder=encoder, network=network, classes=tuple(classes),
            channels=channels, neighbours=neighbours, normalisation=values,
            trained_on=KNOWN.get(weights, ""),
            presence=UNSET if architecture.lower() == CLASSIFIER else None,
        )  # fmt: skip
    except ValidationError as error:
        raise ModelError(f"No model can be started from {spec!r}: {error.errors()[0]['msg']}.") from error


def start_network(spec: str, card: ModelCard) -> nn.Module:
    """Build the network of a `start_card`, with the weights that ``spec`` asks for; those of ImageNet are downloaded.

    Raises
    ------
    ModelError
        If the download fails; says so within seconds when there is no network.
    """
    weights = spec.partition("+")[2]
    if not weights:
        return build_network(card)
    if weights == "phantoms":
        return _take_phantoms(card)
    build_network(card)  # what cannot be built must not read like a failed download
    check_pretrained(card.encoder)
    with hub_reached(f"the {weights} weights of {card.encoder}"):
        return build_network(card, encoder_weights=weights)


def check_weights(spec: str) -> None:
    """Raise a `ModelError` if nobody offers the weights that a start asks for; timm would only log that and go on."""
    base, _, weights = spec.partition("+")
    if weights == "phantoms":
        _phantoms(base)
    elif weights:
        check_pretrained(base.partition(":")[2])


def check_pretrained(encoder: str) -> None:
    """Raise a `ModelError` if nobody offers ImageNet's weights for an encoder."""
    own = import_smp().encoders.encoders.get(encoder)
    if own is None:
        import timm

        offered = timm.models.is_model_pretrained(encoder.partition("-")[2])
    else:
        offered = "imagenet" in own["pretrained_settings"]
    if not offered:
        raise ModelError(f"There are no ImageNet weights for the encoder {encoder}.", "Leave +imagenet out.")


def _phantoms(base: str) -> ModelCard:
    """Card of the package's weights, if they are for such a network."""
    card = read_card(PHANTOMS)
    own = f"{card.architecture}:{card.encoder}"
    if base.lower() != own:
        raise ModelError(f"The weights +phantoms are not for {base}.", f"They are for {own}.")
    return card


def _take_phantoms(card: ModelCard) -> nn.Module:
    """A network whose encoder and decoder come from the package's weights; its head is random."""
    network: Any = build_network(card)
    state = network.state_dict()
    for key, value in load_network(PHANTOMS)[1].state_dict().items():
        if key.startswith(("encoder.", "decoder.")):
            state[key] = value if value.shape == state[key].shape else _spread(value, state[key].shape[1])
    network.load_state_dict(state)
    return network  # type: ignore[no-any-return]


def _spread(first: Tensor, channels: int) -> Tensor:
    """The first layer's weight (O, 3, k, k) for other channels: what all of them show alike gives what it gave."""
    if channels < 3:
        return first.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
    colours = [i % 3 for i in range(channels)]
    often = first.new_tensor([colours.count(c) for c in colours])
    return first[:, colours] / often[:, None, None]
