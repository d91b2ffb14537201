"""From a model card to a network, through segmentation_models_pytorch.

Importing this module loads no torch; its functions do.
"""

from __future__ import annotations

import difflib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from napari_medseg.core import CLASSIFIER, ClassInfo, MedsegError, ModelCard, ModelError

from .heads import SLICE_HEAD
from .smp import SMP_LOCK, first_line, import_smp

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURES = (
    "unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet",
    "deeplabv3", "deeplabv3plus", "pan", "upernet", "segformer", "dpt", "fcn8s", CLASSIFIER,
)  # fmt: skip
"""What ``architecture`` may be; known here so that a form can list it without loading torch."""

QUICK = "quick"
"""Architecture of models without a network of their own, see `napari_medseg.models.quick`."""

# Arguments that a card, which may come from a stranger, must not pass on: they read files or the network, or they
# contradict the card's own fields.
_REFUSED = re.compile(
    r"arch|encoder_name|encoder_weights|in_channels|in_chans|classes|pretrained.*|checkpoint.*|cache_dir|features_only"
    r"|out_indices|output_stride|scriptable|exportable|jit|config|layers|depths?|num_layers|block_args"
)

_KNOWN = re.compile(r"decoder_.*|encoder_depth|encoder_output_stride|aux_params|activation|upsampling|psp_.*")


_COMMON = 2048  # the widest layer of common networks


def architectures() -> tuple[str, ...]:
    """Every architecture: those of the installed segmentation_models_pytorch, and ours.

    Returns
    -------
    tuple of str
        In lower case: ``unet``, ``deeplabv3plus``.
    """
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


def outline_network(card: ModelCard) -> nn.Module:
    """Build a network whose weights are to be compared with a file's, without their memory where they are many.

    Widths come from whoever made the card, and a few numbers can ask for more memory than there is: beyond what is
    common, and where the encoder gets arguments of its own, all tensors are on the device ``meta``.
    """
    import torch

    small = max(_numbers([card.network, card.in_channels, card.out_channels])) <= _COMMON
    if card.architecture == QUICK or (small and all(_KNOWN.fullmatch(key) for key in card.network)):
        return build_network(card)
    import_smp()
    with torch.device("meta"):
        return build_network(card)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers(part)
    elif isinstance(value, int | float):
        yield value


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

    Parameters
    ----------
    card
        Only its architecture and encoder count.
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


def needs_whole(card: ModelCard) -> bool:
    """Whether a model must see slices whole and as they lie: where a pixel is tells it what it is."""
    return card.architecture == QUICK and bool(card.network.get("position"))
