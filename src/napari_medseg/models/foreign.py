"""Models from elsewhere: archives and bare weights. Whatever is in them, it is read as data and never run."""

from __future__ import annotations

import re
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_medseg.core import CLASSIFIER, ClassInfo, ModelCard, ModelError, first_problem

from .build import outline_network
from .configs import MOST_OUTPUTS, model_name
from .heads import UNSET
from .library import add_model, adopt_model, copy_memory
from .names import check_stranger, renamed
from .package_in import find_description, make_model, read_own
from .parts import MASKS, SLICES, pick_network
from .starts import is_start, start_card
from .unpack import ARCHIVES, DAMAGE, told_as, unpacked
from .weights import CONFIG, WEIGHTS, fill_network, load_network, read_card

if TYPE_CHECKING:
    from torch import Tensor

PICKLES = (".pt", ".pth", ".ckpt", ".bin")
BARE = (".safetensors", *PICKLES)
"""Names that files with weights alone may have."""

_CONVERT = (
    "Where it was made, save the weights alone: safetensors.torch.save_file(model.state_dict(), 'model.safetensors'), "
    "or with segmentation_models_pytorch: model.save_pretrained('folder')."
)


def import_file(path: Path, name: str, network: str, part: str) -> ModelCard:
    """Import an archive or bare weights, see `napari_medseg.models.exchange.import_model`.

    Raises
    ------
    ModelError
        It is not there, no model that can be imported, or lacks what must be told.
    """
    if not path.is_file():
        raise ModelError(f"There is no file or folder {path}.")
    lower = path.name.lower()
    if lower.endswith(ARCHIVES):
        with unpacked(path) as folder, told_as(folder, path.name):
            return import_folder(folder, name, network, part)
    if lower.endswith(".onnx"):
        raise ModelError(f"{path.name} is an ONNX file, which cannot be trained further.", _CONVERT)
    if not lower.endswith(BARE):
        known = ", ".join((*ARCHIVES, *BARE))
        raise ModelError(f"{path.name} is not a model as far as its name tells.", f"A folder, or one of: {known}.")
    state = read_weights(path, part)
    source = f"{part} of {path.name}" if part else path.name
    card = card_of(state, name or model_name(path.name.partition(".")[0]), network, source)
    check_stranger(card, named=bool(name))
    return add_model(fill_network(card, state, source), card)


def import_folder(folder: Path, name: str = "", network: str = "", part: str = "") -> ModelCard:
    """Check a model's folder and add it to the library, see `import_model`.

    Raises
    ------
    ModelError
        It is no model, is damaged, or ``network`` or ``part`` is given though it says its own.
    """
    if network and (find_description(folder) or read_own(folder)):
        raise ModelError("This model says itself what network it has.", f"Leave {network} out.")
    if find_description(folder) and not ((folder / WEIGHTS).is_file() and read_own(folder)):
        with tempfile.TemporaryDirectory(prefix="napari-medseg-") as place, told_as(Path(place), str(folder)):
            return import_folder(make_model(folder, Path(place), partial(read_weights, part=part)), name)
    if part:
        raise ModelError("A model's folder holds one network alone.", f"Leave {part} out.")
    described = read_card(folder).sha256
    card, trained = load_network(folder)
    card = renamed(card, name)
    check_stranger(card, named=bool(name))
    # Weights that a card vouches for stay byte for byte; smp's own may have lost or gained outputs on the way in.
    if described and (folder / CONFIG).is_file():
        return adopt_model(folder, card)
    return add_model(trained, card, partial(copy_memory, folder))


def read_weights(path: Path, part: str = "") -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file or of a pickled state dict; code in a pickle is never run.

    Of several networks in it, ``part`` names one.

    Raises
    ------
    ModelError
        If the file is damaged, is TorchScript, holds a whole module or several networks of which none is named, or
        torch is too old to read pickles safely.
    """
    if path.name.lower().endswith(".safetensors"):
        import safetensors
        import safetensors.torch

        try:
            return _bare(safetensors.torch.load_file(path), path.name, part)
        except (safetensors.SafetensorError, ValueError, OSError) as error:
            raise ModelError(f"{path.name} is truncated or damaged.", "Copy or download the file again.") from error
    return _bare(_read_pickle(path), path.name, part)


def _read_pickle(path: Path) -> Any:
    import pickle

    import torch

    # CVE-2025-32434 and its kin: weights_only=True could be led to run code before torch 2.6, and to corrupt memory
    # before 2.10.
    if tuple(int(n) for n in re.findall(r"\d+", torch.__version__)[:2]) < (2, 10):
        raise ModelError(
            f"{path.name} is a pickle, which torch {torch.__version__} cannot read safely.",
            "Install torch 2.10 or later, or use a .safetensors file.",
        )
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except DAMAGE as error:
            raise ModelError(f"{path.name} is truncated or damaged.", "Copy or download the file again.") from error
        if any(m.filename.endswith("constants.pkl") or "/code/" in m.filename for m in members):
            raise ModelError(f"{path.name} is a TorchScript program, which is refused.", _CONVERT)
        if any(m.compress_type != zipfile.ZIP_STORED for m in members):
            raise ModelError(f"{path.name} is compressed, which torch never does to weights, and is refused.", _CONVERT)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds more than weights (a whole module, or objects that would run code) and is refused.",
            _CONVERT,
        ) from error
    except Exception as error:  # whatever a damaged pickle leads to
        raise ModelError(f"{path.name} is truncated or damaged.", "Copy or download the file again.") from error


def _bare(content: Any, name: str, part: str) -> dict[str, Tensor]:
    """Find the state dict of a network in what a training program saved."""
    if not isinstance(content, dict):
        raise ModelError(f"{name} holds no weights.", _CONVERT)
    state = pick_network(content, name, part)
    if not state:
        raise ModelError(
            f"{name} holds no weights of a network of segmentation_models_pytorch: it has no segmentation_head.",
            "Only networks that segmentation_models_pytorch can build can be imported.",
        )
    for key, value in state.items():
        # A network is built as large as shapes say, which a small file must not claim.
        if value.untyped_storage().nbytes() < value.numel() * value.element_size() or 0 in value.shape:
            raise ModelError(
                f"{name} is refused: {key} claims the shape {tuple(value.shape)}, for which it holds too few values.",
                _CONVERT,
            )
    return state


def card_of(state: dict[str, Tensor], name: str, network: str, source: str) -> ModelCard:
    """Card for bare weights: architecture and encoder as told, channels and classes as the weights have them.

    Raises
    ------
    ModelError
        The weights do not tell their network, are not of the one named, or have too many outputs.
    """
    if not is_start(network) or "+" in network:
        raise ModelError(
            f"{source} holds weights alone, which do not tell what network they belong to.",
            "Name it as architecture:encoder, for example unet:resnet34.",
        )
    one = ClassInfo.numbered(1)
    outlines = network.partition(":")[0].lower() != CLASSIFIER
    start = start_card(network, name="start", classes=(one,))
    head = [v for k, v in state.items() if k.startswith(MASKS) and v.ndim == 4]
    # Files may have their tensors in another order: the network tells which is the first layer's.
    first = next(k for k, v in outline_network(start).state_dict().items() if k.startswith("encoder.") and v.ndim == 4)
    if first not in state or state[first].ndim != 4 or bool(head) != outlines:
        kind = f"{CLASSIFIER}:ENCODER" if outlines and not head else "the network that they were trained with"
        raise ModelError(f"{source} holds no weights of {network}.", f"Name {kind}.")
    outputs = int(head[-1].shape[0]) if head else 2
    if outputs > MOST_OUTPUTS:
        raise ModelError(f"{source} has {outputs} outputs, of which no more than {MOST_OUTPUTS} can be imported.")
    presence, notes = _read_slice_head(state, outlines)
    if head:
        notes.insert(
            0, "divided at probability 0.5" if outputs == 1 else "the first output is taken for the background"
        )
    try:
        return ModelCard(
            name=name, architecture=start.architecture, encoder=start.encoder, channels=int(state[first].shape[1]),
            network={**start.network, **_decoder_widths(start.architecture, state)},
            classes=tuple(ClassInfo.numbered(v) for v in range(1, max(2, outputs))), presence=presence,
            description=f"Imported from {source}: class names, normalisation and pixel size are guesses; "
            f"{'; '.join(notes)}.",
        )  # fmt: skip
    except ValidationError as error:
        raise ModelError(f"{source} cannot be imported as {name!r}: {first_problem(error)}.") from error


def _decoder_widths(architecture: str, state: dict[str, Tensor]) -> dict[str, Any]:
    """``decoder_channels`` as the weights have them, of architectures whose decoders come in other widths here too."""
    keys = {
        "unet": [f"decoder.blocks.{i}.conv1.0.weight" for i in range(5)],
        "unetplusplus": [f"decoder.blocks.x_0_{i}.conv1.0.weight" for i in range(5)],
        "fcn8s": ["decoder.top.0.weight", "decoder.fine.weight"],
    }.get(architecture, [])
    found = [int(state[key].shape[0]) for key in keys if key in state]
    return {"decoder_channels": found} if found and len(found) == len(keys) else {}


def _read_slice_head(state: dict[str, Tensor], outlines: bool) -> tuple[float | None, list[str]]:
    """The threshold of a card whose network has a slice head, and what to say of it."""
    heads = [value for key, value in state.items() if key.startswith(SLICES) and value.ndim == 2]
    if not heads:
        return None, []
    if (answers := int(heads[-1].shape[0])) != 1:
        return None, [f"its classification head of {answers} classes was left out"]
    pooled = ", and that the largest response in the slice counts" if outlines else ""
    return UNSET, [f"that slices below a probability of {UNSET} are empty is a guess{pooled}"]
