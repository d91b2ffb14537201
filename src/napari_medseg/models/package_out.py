"""A model as a package of bioimage.io, which other programs test and run; our card goes along inside."""

from __future__ import annotations

import gc
import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.core import CLASSIFIER, RGB, ModelCard, ModelError

from .build import QUICK, size_multiple
from .package_in import LIBRARY
from .package_steps import list_steps, prepare, said_of_values, sample_range
from .weights import CARD, CONFIG, MEMORY, WEIGHTS, load_network

_SIDE = 64
"""Pixels of the sample's side, or the least that the network takes."""

_OURS = {
    QUICK: ("a Quick model", "a folder or zip"),
    "fcn8s": ("an fcn8s", "a folder, zip or ONNX"),
    CLASSIFIER: ("a slice classifier", "a folder, zip or ONNX"),
}
"""Architectures that other programs do not have: what to call such a model, and what it can be exported as."""


def check_card(card: ModelCard) -> None:
    """Raise a `ModelError` if a model's network is not one that other programs can build."""
    if card.architecture in _OURS:
        kind, instead = _OURS[card.architecture]
        raise ModelError(
            f"{card.reference} is {kind}, which {LIBRARY} cannot build for a bioimage.io package.",
            f"Export it as {instead}.",
        )


def write_package(folder: Path, out: Path, card: ModelCard, attached: Sequence[Path], authors: Sequence[str]) -> None:
    """Write the model in ``folder`` as a package, checked by bioimage.io's own library.

    Parameters
    ----------
    card
        What the package says of the model.
    attached
        Files that go along as they are.
    authors
        Their names; without any, the package has none.

    Raises
    ------
    ModelError
        The package would not be valid.
    """
    spec: Any = import_module("bioimageio.spec")
    _, network = load_network(folder)
    with tempfile.TemporaryDirectory(prefix="napari-medseg-") as name:
        place = Path(name)
        for path in attached:
            if path.is_file():
                shutil.copyfile(path, place / path.name)
        _write_weights(folder / WEIGHTS, place / "weights.pt")
        outputs = _write_sample(card, network, place)
        (place / "README.md").write_text(_document(card), encoding="utf-8")
        (place / "environment.yaml").write_text(_environment(), encoding="utf-8")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files to the collector
                spec.save_bioimageio_package(
                    _describe(card, place, authors, outputs), output_path=place / "package.zip"
                )
                gc.collect()  # where files are open, the folder cannot go on Windows
        except ValueError as error:  # pydantic's among them
            said = str(error).strip().splitlines()
            raise ModelError(
                f"{card.reference} makes no valid bioimage.io package: {' '.join(said[1:3]) or said[0]}.",
                "Correct what it names in the model's card.json.",
            ) from error
        shutil.copyfile(place / "package.zip", out)


def _write_weights(source: Path, target: Path) -> None:
    """The same tensors as torch writes them, which is what readers of packages expect."""
    import safetensors.torch
    import torch

    torch.save(safetensors.torch.load_file(source), target)


def _write_sample(card: ModelCard, network: Any, place: Path) -> int:
    """Write an input and what the network makes of it; returns the number of outputs."""
    import torch

    side = _sample_side(card)
    low, high = sample_range(card.normalisation)
    values = np.random.default_rng(0).uniform(low, high, (1, card.in_channels, side, side)).astype(np.float32)
    with torch.inference_mode():
        result = network(torch.from_numpy(prepare(values, card)))
    mask, *more = result if isinstance(result, tuple | list) else (result,)
    np.save(place / "test-input.npy", values)
    np.save(place / "test-probabilities.npy", mask.softmax(1).numpy())
    if more:
        np.save(place / "test-slice.npy", more[0].sigmoid().numpy())
    return 1 + len(more)


def _sample_side(card: ModelCard) -> int:
    multiple = size_multiple(card)
    return max(_SIDE, 2 * multiple) // multiple * multiple


def _describe(card: ModelCard, place: Path, authors: Sequence[str], outputs: int) -> Any:
    """The description as an object of bioimage.io's library, which checks it."""
    import torch

    v0_5: Any = import_module("bioimageio.spec.model.v0_5")
    config = json.loads((place / CONFIG).read_text(encoding="utf-8"))
    callable_ = config.pop("_model_class")
    beside = [{"source": place / name} for name in (CARD, CONFIG, MEMORY) if (place / name).is_file()]
    return v0_5.ModelDescr(
        name=_name(card),
        description=(card.description or card.title)[:1024],
        version=f"{card.version}.0.0",
        authors=[{"name": author} for author in authors],
        license=_licence(card, place),
        documentation={"source": place / "README.md"},
        tags=[*dict.fromkeys(["segmentation", "2d", card.architecture, "pytorch", card.modality.lower()])][
            : 5 if card.modality else 4
        ],
        attachments=beside,
        inputs=[_input(card, place)],
        outputs=_outputs(card, place)[:outputs],
        weights={
            "pytorch_state_dict": {
                "source": place / "weights.pt",
                "architecture": {"import_from": LIBRARY, "callable": callable_, "kwargs": config},
                "pytorch_version": torch.__version__.partition("+")[0],
                "dependencies": {"source": place / "environment.yaml"},
            }
        },
    )


def _input(card: ModelCard, place: Path) -> dict[str, Any]:
    size = {"min": _sample_side(card), "step": size_multiple(card)}
    scale = {"unit": "millimeter", "scale": card.pixel_size} if card.pixel_size else {}
    names = [f"{c}{n:+d}" if card.neighbours else c
             for n in range(-card.neighbours, card.neighbours + 1) for c in _called(card)]  # fmt: skip
    return {
        "id": "image",
        "description": f"images go in {card.size_in_words}",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": names},
            *({"type": "space", "id": axis, "size": size, **scale} for axis in "yx"),
        ],
        "data": {"type": "float32"},
        "preprocessing": list_steps(card),
        "test_tensor": {"source": place / "test-input.npy"},
    }


def _called(card: ModelCard) -> tuple[str, ...]:
    """A name for each channel of an image."""
    if card.channel_names:
        return card.channel_names
    return RGB if card.is_rgb else tuple(f"channel{c}" for c in range(card.channels))


def _outputs(card: ModelCard, place: Path) -> list[dict[str, Any]]:
    scale = {"unit": "millimeter", "scale": card.pixel_size} if card.pixel_size else {}
    names = ["background", *(c.name for c in card.classes)]
    mask = {
        "id": "probabilities",
        "description": "of the background and of each class",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": names},
            *({"type": "space", "id": axis, "size": {"tensor_id": "image", "axis_id": axis}, **scale} for axis in "yx"),
        ],
        "data": {"type": "float32", "range": (0.0, 1.0)},
        "postprocessing": [{"id": "softmax", "kwargs": {"axis": "channel"}}],
        "test_tensor": {"source": place / "test-probabilities.npy"},
    }
    said = {
        "id": "slice",
        "description": "probability that the slice holds any of the classes",
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["presence"]}],
        "data": {"type": "float32", "range": (0.0, 1.0)},
        "postprocessing": [{"id": "sigmoid"}],
        "test_tensor": {"source": place / "test-slice.npy"},
    }
    return [mask, said]


def _name(card: ModelCard) -> str:
    text = "".join(c if c.isascii() and (c.isalnum() or c in "_+- ()") else "-" for c in card.title or card.name)
    return text[:128] if len(text) >= 5 else f"{text} model"


def _licence(card: ModelCard, place: Path) -> Any:
    """An identifier of SPDX, the card's words as a file where they are none, or nothing."""
    generic: Any = import_module("bioimageio.spec.generic.v0_3")
    if not card.licence:
        return None
    for kind in (generic.LicenseId, generic.DeprecatedLicenseId):
        with suppress(ValueError):
            return kind(card.licence)
    (place / "LICENSE.txt").write_text(card.licence, encoding="utf-8")
    return {"source": place / "LICENSE.txt"}


def _environment() -> str:
    """What conda needs to run the network."""
    import torch

    version = import_module(LIBRARY).__version__
    return (
        "channels: [conda-forge]\n"
        f"dependencies:\n  - pytorch>={torch.__version__.partition('+')[0]}\n  - pip\n  - pip:\n"
        f"      - segmentation-models-pytorch=={version}\n"
    )


def _document(card: ModelCard) -> str:
    ours = card.normalisation
    scores = [f"- {line}" for line in card.scores_in_words] or ["No held-out score is recorded."]
    parts = [
        f"# {card.title or card.name}",
        card.description,
        "For research only: not a medical device, not for diagnosis.",
        "## Input",
        f"{card.modality or 'Images'}, {card.channels} channels; images go in {card.size_in_words}."
        + (f" {card.neighbours} slices on either side go in as further channels." if card.neighbours else ""),
        said_of_values(ours),
        "## Classes",
        "\n".join(f"- {c.value}: {c.name}" for c in card.classes),
        "## Training",
        card.trained_on or "Not recorded.",
        "## Validation",
        "\n".join(scores),
        "Made with napari-medseg; `card.json` inside is its description of the model.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
