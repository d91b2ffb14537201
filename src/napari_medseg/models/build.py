"""From a model card to a network, through segmentation_models_pytorch.

Importing this module loads no torch; its functions do.
"""

from __future__ import annotations

import difflib
import json
import re
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_medseg.core import ClassInfo, MedsegError, ModelCard, ModelError, Normalisation

from .heads import SLICE_HEAD, UNSET
from .hub import hub_reached
from .smp import CLASSIFIER, SMP_LOCK, first_line, import_smp

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURES = (
    "unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet",
    "deeplabv3", "deeplabv3plus", "pan", "upernet", "segformer", "dpt", "fcn8s", CLASSIFIER,
)  # fmt: skip
"""What ``architecture`` may be; known here so that a form can list it without loading torch."""

QUICK = "quick"
"""Architecture of models without a network of their own, see `napari_medseg.models.quick`."""

# Half of smp's own widths: a training step on a CPU is a third shorter, with the same Dice on the sample tasks.
LIGHT_DECODER = (128, 64, 32, 16, 16)

# Mean and spread of ImageNet's colours, which the downloaded encoders were trained with (values between 0 and 1).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Arguments that a card, which may come from a stranger, must not pass on: they read files or the network, or they
# contradict the card's own fields.
_REFUSED = re.compile(
    r"arch|encoder_name|encoder_weights|in_channels|in_chans|classes|pretrained.*|checkpoint.*|cache_dir|features_only"
    r"|out_indices|output_stride|scriptable|exportable|jit|config"
)


def architectures() -> tuple[str, ...]:
    """Every architecture of the installed segmentation_models_pytorch."""
    return tuple(import_smp().MODEL_ARCHITECTURES_MAPPING)


@cache
def encoders() -> tuple[str, ...]:
    """Every encoder name: smp's own, then timm's as ``tu-NAME`` (not every architecture takes every one)."""
    smp = import_smp()
    import timm

    return (*sorted(smp.encoders.get_encoder_names()), *(f"tu-{name}" for name in timm.list_models()))


def check_names(architecture: str, encoder: str) -> None:
    """Raise a `ModelError` that names near matches if there is no such architecture or encoder."""
    if architecture.lower() not in architectures():
        raise ModelError(f"There is no architecture {architecture!r}.", _near(architecture, architectures()))
    # The part after a full stop names pretrained weights. Names with ':' or '/' would make timm read files or the hub.
    name = encoder.partition(".")[0] if encoder.startswith("tu-") else encoder
    known = {*encoders()}
    if not {name, name.replace("timm-", "tu-", 1), name.replace("timm-", "tu-tf_", 1)} & known:
        raise ModelError(f"There is no encoder {encoder!r}.", _near(name, encoders()))


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    return f"Near matches: {', '.join(near)}." if near else f"There are: {', '.join(known[:12])} ..."


def build_network(card: ModelCard, *, encoder_weights: str | None = None) -> nn.Module:
    """Build the network that a card describes.

    Parameters
    ----------
    card
        Names the architecture, the encoder, the channels and the classes.
    encoder_weights
        None starts from random numbers; ``"imagenet"`` downloads the encoder's weights (never done by default).

    Returns
    -------
    nn.Module
        Maps (N, ``card.in_channels``, Y, X) to logits (N, ``card.out_channels``, Y, X); with ``card.presence`` to
        these and the logit of each slice, see `heads.split_output`.

    Raises
    ------
    ModelError
        If a name is unknown, the combination cannot be built, or the download fails.
    """
    if card.architecture == QUICK:
        from .quick import build_quick

        return build_quick(card)
    smp = import_smp()
    check_names(card.architecture, card.encoder)
    refused = [key for key in card.network if _REFUSED.fullmatch(key)]
    if refused:
        raise ModelError(
            f"The card of {card.name!r} sets {refused[0]!r} for its network, which a card may not.",
            "Remove it from 'network' in card.json.",
        )
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in card.network.items()}
    arguments.pop("activation", None)  # outputs are logits; softmax or sigmoid belong to their users
    aux: Any = arguments.pop("aux_params", None)
    if card.presence is not None:
        pooling = aux.get("pooling", SLICE_HEAD["pooling"]) if isinstance(aux, dict) else SLICE_HEAD["pooling"]
        arguments["aux_params"] = {**SLICE_HEAD, "pooling": pooling}
    encoder = card.encoder
    weights: str | bool | None = encoder_weights
    if encoder_weights and encoder.startswith(("tu-", "timm-")) and encoder not in smp.encoders.encoders:
        weights = True
    with SMP_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated names that stay valid, such as timm-regnety_004
        try:
            network: Any = smp.create_model(
                card.architecture,
                encoder_name=encoder,
                encoder_weights=weights,
                in_channels=card.in_channels,
                classes=card.out_channels,
                **arguments,
            )
        except MedsegError:
            raise
        except Exception as error:
            raise ModelError(
                f"{card.architecture} with the encoder {encoder} and {card.in_channels} input channels cannot be "
                f"built: {first_line(error)}.",
                "Choose another encoder, or correct 'network' in the model's card.",
            ) from error
    # What smp writes to config.json: a model that is opened again must not download what it already holds.
    network.config["encoder_weights"] = None
    built: nn.Module = network
    return built


def unwrap(network: nn.Module) -> Any:
    """Take ``torch.compile``'s and ``DataParallel``'s wrappers off a network."""
    bare: Any = network
    while hasattr(bare, "_orig_mod") or (hasattr(bare, "module") and not hasattr(bare, "config")):
        bare = bare._orig_mod if hasattr(bare, "_orig_mod") else bare.module
    return bare


def size_multiple(card: ModelCard) -> int:
    """Number that height and width of the network's input must be divisible by, in pixels.

    Unet would take any size, but loses less at the margins when padded like the others. DPT halves its encoder's grid
    once more, PAN three times.
    """
    if card.architecture == QUICK:
        return 1
    network = json.dumps(card.network, sort_keys=True, default=str)
    return _size_multiple(card.architecture.lower(), card.encoder, card.in_channels, network)


@lru_cache(maxsize=32)
def _size_multiple(architecture: str, encoder: str, in_channels: int, network: str) -> int:
    import torch

    one = ClassInfo.numbered(1)
    card = ModelCard(
        name="size", architecture=architecture, encoder=encoder, channels=in_channels, classes=(one,),
        network=json.loads(network),
    )  # fmt: skip
    import_smp()
    try:
        with torch.device("meta"):  # neither memory nor time for the weights
            built: Any = build_network(card)
    except ModelError:  # a few encoders, such as mit_b0, compute with numbers while they are built
        built = build_network(card)
    return int(built.encoder.output_stride) * {"dpt": 2, "pan": 8}.get(architecture, 1)


def is_start(reference: str) -> bool:
    """Whether a reference names a fresh start (``unet:resnet18``, ``unet:resnet18+imagenet``, ``quick``)."""
    if is_quick_start(reference):
        return True
    architecture, colon, encoder = reference.partition(":")
    return bool(colon and encoder) and architecture.lower() in ARCHITECTURES


def is_quick_start(reference: str) -> bool:
    """Whether a reference names a Quick model yet to be fitted: ``quick``, or ``quick:MODEL`` with MODEL's features."""
    return re.fullmatch(r"quick(:.+)?", reference) is not None


def needs_whole(card: ModelCard) -> bool:
    """Whether a model must see slices whole and as they lie: where a pixel is tells it what it is."""
    return card.architecture == QUICK and bool(card.network.get("position"))


def outlines(card: ModelCard) -> bool:
    """Whether a model gives masks; if not, it only says whether a slice holds anything."""
    return card.architecture != CLASSIFIER


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
        ``architecture:encoder``, with ``+imagenet`` appended to start from downloaded encoder weights.
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
    if not is_start(base) or is_quick_start(base) or (weights and weights != "imagenet"):
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
        raise ModelError(f"No model can be started from {spec!r}: {error.errors()[0]['msg']}.") from error


def start_network(spec: str, card: ModelCard) -> nn.Module:
    """Build the network of a `start_card`, and download the encoder's weights if ``spec`` asks for them.

    Raises
    ------
    ModelError
        If the download fails; says so within seconds when there is no network.
    """
    weights = spec.partition("+")[2]
    if not weights:
        return build_network(card)
    build_network(card)  # what cannot be built must not read like a failed download
    check_pretrained(card.encoder)
    with hub_reached(f"the {weights} weights of {card.encoder}"):
        return build_network(card, encoder_weights=weights)


def check_pretrained(encoder: str) -> None:
    """Raise a `ModelError` if nobody offers weights for an encoder; timm would only log that and go on without."""
    own = import_smp().encoders.encoders.get(encoder)
    if own is None:
        import timm

        offered = timm.models.is_model_pretrained(encoder.partition("-")[2])
    else:
        offered = "imagenet" in own["pretrained_settings"]
    if not offered:
        raise ModelError(f"There are no ImageNet weights for the encoder {encoder}.", "Leave +imagenet out.")
