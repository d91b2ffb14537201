"""Packages of bioimage.io: ``rdf.yaml`` describes weights, and the network of segmentation_models_pytorch they fit.

Read as data: a network that is described by a Python file is refused, and nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_medseg.core import ClassInfo, ModelCard, ModelError, first_problem

from .build import outline_network
from .configs import card_from_config, model_name, refuse_sigmoid
from .package_steps import name_steps, read_steps
from .weights import CARD, CONFIG, MEMORY, WEIGHTS, fill_network, write_card, write_model

if TYPE_CHECKING:
    from torch import Tensor

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "rdf.yml", "bioimageio.yml")
"""Names that a package's description may have."""

LIBRARY = "segmentation_models_pytorch"

_MOST = 2**18  # bytes of a description; they have 5,000
_ALIASES = 20  # in a description: many of them, nested, unfold to what no memory holds
_DEPTH = 40
_WRONG = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


def find_description(folder: Path) -> Path | None:
    """The description of a package that was unpacked, if the folder is one."""
    return next((folder / name for name in DESCRIPTIONS if (folder / name).is_file()), None)


def read_own(folder: Path) -> bool:
    """Whether a package holds our own card, or smp's configuration, which both say more than its description."""
    return any((folder / name).is_file() for name in (CARD, CONFIG))


def read_source(folder: Path, title: str) -> str:
    """Path of the weights inside a package, as its description has it.

    Raises
    ------
    ModelError
        There are no weights of torch, they are elsewhere, or a program is needed to use them.
    """
    source = str(_read_weights_entry(_read(folder, title), title)["source"])
    if "://" in source or source.startswith(("doi:", "file:")):
        raise ModelError(
            f"{title} names weights that are not in it ({source}), and nothing is downloaded.",
            "Download the whole package, a .zip with the weights inside.",
        )
    posix, windows = PurePosixPath(source), PureWindowsPath(source)
    if posix.is_absolute() or windows.drive or windows.root or ".." in {*posix.parts, *windows.parts}:
        raise ModelError(f"{title} names weights outside its folder ({source!r}) and is refused.")
    return source


def make_model(folder: Path, place: Path, read_weights: Callable[[Path], dict[str, Tensor]]) -> Path:
    """Write the model of an unpacked package as a folder of ours.

    Parameters
    ----------
    folder
        With the description, and the weights where it says, or beside it.
    place
        An empty folder for the model.
    read_weights
        Reads a file of weights as data.

    Returns
    -------
    Path
        The model's folder.

    Raises
    ------
    ModelError
        The package lacks what it names, its hashes differ, or its network is none that can be built.
    """
    from safetensors.torch import save_file

    title = folder.name
    description = _read(folder, title)
    source = read_source(folder, title)
    path = next((p for p in (folder / source, folder / PurePosixPath(source).name) if p.is_file()), None)
    if path is None or not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{title} does not hold the weights that it names, {source}.", "Download it again.")
    entry = _read_weights_entry(description, title)
    said = entry.get("sha256")
    if said and hashlib.sha256(path.read_bytes()).hexdigest() != said:
        raise ModelError(f"{source} is not the file that {title} describes: their hashes differ.", "Download it again.")
    state = read_weights(path)
    if (folder / CARD).is_file():
        for name in (CARD, CONFIG, MEMORY):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, place / name)
        save_file({key: value.contiguous() for key, value in state.items()}, place / WEIGHTS)
        _vouch(place)
        return place
    card = _describe(description, entry, title)
    write_model(place, card, fill_network(card, state, source))
    return place


def _vouch(folder: Path) -> None:
    """Take the hash off a card whose weights came back in other bytes; `load_network` checks them all the same."""
    try:
        card = ModelCard.model_validate_json((folder / CARD).read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError):
        return  # said where the card is read
    if card.sha256 != hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest():
        write_card(folder, card.model_copy(update={"sha256": ""}))


def _read(folder: Path, title: str) -> dict[str, Any]:
    import yaml

    path = find_description(folder)
    try:
        if path is None:
            raise ValueError("it is missing")
        if path.stat().st_size > _MOST:
            raise ValueError("it is too large")
        text = path.read_bytes()
        _check_shape(text)
        content = yaml.safe_load(text)  # the loader that makes plain values only
        if not isinstance(content, dict):
            raise ValueError("it holds no fields")
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"The description in {title} cannot be read: {said}.", "Download the package again."
        ) from error
    if content.get("type", "model") != "model":
        raise ModelError(f"{title} is no model but a {content['type']} of bioimage.io.")
    return content


def _check_shape(text: bytes) -> None:
    """Raise a ValueError where YAML would take all memory (by what refers to itself) or hours (by its depth)."""
    import yaml

    aliases = depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        aliases += isinstance(event, yaml.AliasEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if aliases > _ALIASES:
            raise ValueError("it refers to itself too often")
        if depth > _DEPTH:
            raise ValueError("it is nested too deeply")


def _read_weights_entry(description: dict[str, Any], title: str) -> dict[str, Any]:
    """``pytorch_state_dict``, with ``callable``, ``import_from`` and ``kwargs`` as formats 0.4 and 0.5 have them."""
    kinds = description.get("weights")
    entry = kinds.get("pytorch_state_dict") if isinstance(kinds, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
        there = ", ".join(str(kind) for kind in kinds) if isinstance(kinds, dict) and kinds else "none"
        raise ModelError(
            f"{title} holds no weights that can be trained further (pytorch_state_dict); it has: {there}.",
            f"Only networks of {LIBRARY} can be imported.",
        )
    architecture = entry.get("architecture")
    if isinstance(architecture, str):  # 0.4: module.Class or file.py:Class
        file, colon, _ = architecture.rpartition(":")
        module, _, name = architecture.rpartition(".")
        found = {"source": file} if colon else {"import_from": module, "callable": name}
        architecture = {**found, "kwargs": entry.get("kwargs") or {}}
    if not isinstance(architecture, dict):
        raise ModelError(f"{title} does not say what network its weights belong to.")
    if "import_from" not in architecture:
        raise ModelError(
            f"{title} describes its network by a Python file ({architecture.get('source')}), which is never run.",
            f"Only networks of {LIBRARY} can be imported.",
        )
    if str(architecture["import_from"]).partition(".")[0] != LIBRARY:
        raise ModelError(
            f"{title} has a network of {architecture['import_from']}, which cannot be built here.",
            f"Only networks of {LIBRARY} can be imported.",
        )
    return {**entry, **architecture, "source": entry["source"]}


def _describe(description: dict[str, Any], entry: dict[str, Any], title: str) -> ModelCard:
    """The card of somebody else's model, as far as its description tells."""
    note = (
        "Imported from a package of bioimage.io: classes, normalisation and pixel size may be guesses; see whether "
        "they are what its documentation says."
    )
    try:
        kwargs = dict(entry.get("kwargs") or {})
        json.dumps(kwargs)  # a card holds nothing else
        defaults = {"encoder_name": "resnet34", "in_channels": 3, "classes": 1}  # those of the library
        config = {**defaults, **kwargs, "_model_class": str(entry["callable"])}
        _refuse_sigmoid(description, config, title)
        card = card_from_config(config, model_name(str(description.get("name", title))), note)
        about = {"title": str(description.get("name", "")), "licence": _text(description.get("license"))}
        said = f"{_text(description.get('description'))} {card.description}".strip()
        card = card.model_copy(update={**about, "description": said})
        outline_network(card)  # what its arguments may not be is said before the rest
        return ModelCard.model_validate({**dict(card), **_guess(description, card)})
    except ValidationError as error:
        raise ModelError(f"{title} cannot be imported: {first_problem(error)}.") from error
    except _WRONG as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else (str(error).splitlines() or ["?"])[0]
        raise ModelError(f"The description in {title} cannot be used: {said}.") from error


def _refuse_sigmoid(description: dict[str, Any], config: dict[str, Any], title: str) -> None:
    """Several outputs that each have a sigmoid are no background and classes: the first is a class, too."""
    outputs = description.get("outputs") or [{}]
    sigmoid = "sigmoid" in name_steps(outputs[0].get("postprocessing")) or config.get("activation") == "sigmoid"
    if sigmoid:
        refuse_sigmoid(int(config["classes"]), title)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _guess(description: dict[str, Any], card: ModelCard) -> dict[str, Any]:
    """Class names, pixel size and normalisation, as far as they are described; what is not followed is said."""
    found: dict[str, Any] = {}
    tensors = [t for k in ("inputs", "outputs") for t in (description.get(k) or [{}])[:1] if isinstance(t, Mapping)]
    steps = tensors[0].get("preprocessing") if tensors and description.get("inputs") else None
    normalisation = read_steps(steps)
    if normalisation and len(normalisation.mean) in (0, 1, card.channels):
        found["normalisation"] = normalisation
    else:
        unknown = ", ".join(name_steps(steps))
        said = f"Its preprocessing {unknown} is not followed" if unknown else "It describes no preprocessing"
        ours = card.normalisation
        found["description"] = (
            f"{card.description} {said}: values are taken from the {ours.low:g}th to the {ours.high:g}th percentile."
        )
    if len(tensors) != 2:
        return found
    axes, out_axes = (
        {a.get("type") if a.get("type") == "channel" else a.get("id"): a for a in t.get("axes") or []
         if isinstance(a, Mapping)}
        for t in tensors
    )  # fmt: skip
    names = [str(n) for n in out_axes.get("channel", {}).get("channel_names") or []]
    if len(names) == card.out_channels and len(names) > 1:
        found["classes"] = tuple(ClassInfo.numbered(v, name) for v, name in enumerate(names[1:], 1))
    factor = {"millimeter": 1.0, "micrometer": 1e-3, "nanometer": 1e-6}.get(str(axes.get("x", {}).get("unit")))
    if factor and axes["x"].get("scale") == axes.get("y", {}).get("scale"):
        found["pixel_size"] = float(axes["x"]["scale"]) * factor
    return found
