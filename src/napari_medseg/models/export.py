"""Models for other people and programs."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_medseg.core import ModelCard, ModelError, OutputError

from .build import QUICK, size_multiple
from .package_out import check_card, write_package
from .smp import first_line
from .weights import CARD, CONFIG, MEMORY, WEIGHTS, load_network, read_card, write_card

_PACKAGES = {
    "onnx": ("to ONNX", "onnx", ("onnx", "onnxscript", "onnxruntime")),
    "bioimageio": ("for bioimage.io", "bioimageio", ("bioimageio.spec",)),
}
"""What an export is called, the extra that brings what it needs, and that."""

TOLERANCE = 1e-3
"""Of logits in ONNX Runtime, for logits up to 1; beyond that, the part by which they may differ."""

FORMATS = ("folder", "zip", "onnx", "bioimageio")

_NO_FOLDERS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".tar", ".gz", ".tgz")
"""Endings of files that hold models elsewhere; none of them is written here."""

_SUFFIXES = {".zip": ("zip", "bioimageio"), ".onnx": ("onnx",)}
"""Formats that files with such names may have; the first of them where none is asked for."""


def export_to(
    folder: Path, out: Path, kind: str, *, with_memory: bool = False, authors: Sequence[str] = (), licence: str = ""
) -> Path:
    """Write the model in ``folder`` to ``out``, see `napari_medseg.models.exchange.export_model`.

    Raises
    ------
    OutputError
        The format or name is unknown, the place is taken or cannot be written to, or no licence lets memory go along.
    """
    fitting = _SUFFIXES.get(out.suffix.lower(), FORMATS)
    kind = kind or fitting[0]
    if kind not in FORMATS:
        raise OutputError(f"There is no export format {kind!r}.", f"Formats: {', '.join(FORMATS)}.")
    if kind not in fitting or (kind != "folder" and fitting is FORMATS) or out.suffix.lower() in _NO_FOLDERS:
        raise OutputError(
            f"{out.name} is no name for the format {kind}.", "Choose another name, or the format that its ending tells."
        )
    if kind in _PACKAGES:
        _require(kind)
    if authors and kind != "bioimageio":
        raise OutputError("Only bioimage.io packages name authors.", "Leave them out, or export with bioimageio.")
    if with_memory and (kind == "onnx" or not (folder / MEMORY).is_file()):
        why = "An ONNX file has no room for a memory" if kind == "onnx" else "This model remembers nothing"
        raise OutputError(f"{why}.", "Export it without memory.")
    if out.exists():
        raise OutputError(f"{out} exists already.", "Choose another name or remove it first.")
    _check_model(read_card(folder), kind, licence)
    card, _ = load_network(folder)  # a damaged model is not passed on
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="napari-medseg-") as place:
            files = [folder / name for name in (CONFIG, WEIGHTS, CARD, *([MEMORY] if with_memory else []))]
            if licence:
                card = write_card(Path(place), card.model_copy(update={"licence": licence}))
                files[2] = Path(place) / CARD
            writers: dict[str, Callable[[Path], None]] = {
                "folder": partial(_write_folder, files),
                "zip": partial(_write_zip, files),
                "onnx": partial(_write_onnx, folder, card),
                "bioimageio": partial(_write_package, folder, card, [p for p in files if p.name != WEIGHTS], authors),
            }
            writers[kind](part)
        part.rename(out)
    except OSError as error:
        raise OutputError(f"{card.reference} cannot be written to {out}: {error.strerror or error}.") from error
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        elif part.exists():
            part.unlink()
    return out


def _check_model(card: ModelCard, kind: str, licence: str) -> None:
    """Raise a `ModelError` if the format cannot hold such a model, or it has another licence."""
    if licence and licence != card.licence and not card.takes_licence:
        raise ModelError(f"{card.reference} has the licence {card.licence}, not {licence}.", "Leave the licence out.")
    if kind == "onnx" and card.architecture == QUICK:
        raise ModelError(
            f"{card.reference} is a Quick model, which has no network that ONNX could hold.",
            "Export it as a folder or zip, or train a network.",
        )
    if kind == "bioimageio":
        check_card(card)


def _write_folder(files: Sequence[Path], part: Path) -> None:
    part.mkdir()
    for path in files:
        if path.is_file():
            shutil.copyfile(path, part / path.name)


def _write_zip(files: Sequence[Path], part: Path) -> None:
    with zipfile.ZipFile(part, "w") as archive:
        for path in files:
            if path.is_file():
                archive.write(path, path.name)


def _require(kind: str) -> None:
    title, extra, packages = _PACKAGES[kind]
    missing = [name for name in packages if not _is_there(name)]
    if missing:
        raise ModelError(
            f"Exporting {title} needs the package {' and '.join(missing)}, which is not installed.",
            f'pip install "napari-medseg[{extra}]"',
        )


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def _write_package(folder: Path, card: ModelCard, attached: Sequence[Path], authors: Sequence[str], part: Path) -> None:
    write_package(folder, part, card, attached, authors)


def _write_onnx(folder: Path, card: ModelCard, part: Path) -> None:
    """Write the network with free batch size, height and width, and its card as ``metadata_props``.

    A slice head is its second output.
    """
    import torch

    onnx: Any = import_module("onnx")

    _, network = load_network(folder)
    side = max(64, 2 * size_multiple(card))
    sample = torch.zeros(2, card.in_channels, side, side)
    free = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, (sample,), dynamo=True, dynamic_shapes=(free,), input_names=["image"],
            output_names=["logits", *(["slice_logit"] if card.presence is not None else [])], verbose=False,
        )  # fmt: skip
    if program is None:
        raise ModelError(f"{card.reference} cannot be exported to ONNX.")
    model = program.model_proto
    onnx.helper.set_model_props(model, {"card": card.model_dump_json()})
    model.doc_string = (
        f"{card.title or card.name}. Images go in {card.size_in_words}, {card.normalisation.in_words} as 0 to 1. "
        f"Height and width are multiples of {size_multiple(card)} pixels."
    )
    content = model.SerializeToString()
    _check_onnx(content, network, card, side)
    with part.open("wb") as file:
        file.write(content)
        os.fsync(file.fileno())


def _check_onnx(content: bytes, network: Any, card: ModelCard, side: int) -> None:
    """Raise a `ModelError` where ONNX Runtime makes something else of a sample than the network does."""
    import torch

    runtime: Any = import_module("onnxruntime")
    sample = torch.rand(1, card.in_channels, side, 2 * side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = network(sample)
    try:
        found = runtime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(
            None, {"image": sample.numpy()}
        )
    except Exception as error:  # of its own kinds, which it does not export
        raise ModelError(f"{card.reference} cannot be exported to ONNX: {first_line(error)}.") from error
    for one, other in zip(wanted if isinstance(wanted, tuple | list) else (wanted,), found, strict=True):
        difference = float((one - torch.from_numpy(other)).abs().max())
        if not difference <= TOLERANCE * max(1.0, float(one.abs().max())):
            raise ModelError(
                f"{card.reference} cannot be exported to ONNX: there its logits differ by up to {difference:.3g}.",
                "Export it as a folder or zip.",
            )
