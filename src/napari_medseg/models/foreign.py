"""Models from elsewhere: archives and bare weights. Whatever is in them, it is read as data and never run."""

from __future__ import annotations

import lzma
import re
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_medseg.core import ClassInfo, ModelCard, ModelError

from .build import check_names, is_start
from .library import add_model, adopt_model, copy_memory
from .rename import renamed
from .weights import CARD, CONFIG, MEMORY, WEIGHTS, fill_network, load_network, model_name, read_card

if TYPE_CHECKING:
    from torch import Tensor

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
PICKLES = (".pt", ".pth", ".ckpt", ".bin")

_LARGEST = 4 * 2**30  # bytes of one file of a model; the largest encoders of timm have 2.6 GB
_DENSEST = 100  # times that weights may shrink in an archive; they shrink by 1.1, a bomb by 1000

_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError,
    ValueError, LookupError, OverflowError,
)  # fmt: skip
"""What the readers of archives raise when one is damaged."""

_CONVERT = (
    "Where it was made, save the weights alone: safetensors.torch.save_file(model.state_dict(), 'model.safetensors'), "
    "or with segmentation_models_pytorch: model.save_pretrained('folder')."
)


def import_file(path: Path, name: str, network: str) -> ModelCard:
    """Import an archive or bare weights, see `napari_medseg.models.exchange.import_model`."""
    if not path.is_file():
        raise ModelError(f"There is no file or folder {path}.")
    lower = path.name.lower()
    if lower.endswith(ARCHIVES):
        with unpacked(path) as folder:
            return import_folder(folder, name)
    if lower.endswith(".onnx"):
        raise ModelError(f"{path.name} is an ONNX file, which cannot be trained further.", _CONVERT)
    if not lower.endswith((".safetensors", *PICKLES)):
        known = ", ".join((*ARCHIVES, ".safetensors", *PICKLES))
        raise ModelError(f"{path.name} is not a model as far as its name tells.", f"A folder, or one of: {known}.")
    state = read_weights(path)
    card = card_of(state, name or model_name(path.name.partition(".")[0]), network, path.name)
    return add_model(fill_network(card, state, path.name), card)


def import_folder(folder: Path, name: str = "") -> ModelCard:
    """Check a model's folder and add it to the library, see `import_model`."""
    described = read_card(folder).sha256
    card, network = load_network(folder)
    card = renamed(card, name)
    # Weights that a card vouches for stay byte for byte; smp's own may have lost or gained outputs on the way in.
    if described and (folder / CONFIG).is_file():
        return adopt_model(folder, card)
    return add_model(network, card, partial(copy_memory, folder))


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    packed: int
    plain: bool  # an ordinary file: neither folder, link nor device
    folder: bool
    open: Callable[[], IO[bytes] | None]


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give a temporary folder with the model files of a ``.zip`` or ``.tar``.

    Raises
    ------
    ModelError
        If any member has a path that leads out, is a link, or unpacks to an unlikely size; nothing is written then.
    """
    with tempfile.TemporaryDirectory(prefix="napari-medseg-") as name:
        folder = Path(name) / model_name(path.name.partition(".")[0])
        folder.mkdir()
        try:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    _unpack(path.name, list(_zip_members(archive)), folder)
            else:
                with tarfile.open(path) as archive_tar:
                    _unpack(path.name, list(_tar_members(archive_tar, path.stat().st_size)), folder)
        except _DAMAGE as error:
            raise ModelError(f"{path.name} cannot be unpacked: {error}.", "Copy or download it again.") from error
        yield folder


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        kind = (info.external_attr >> 16) & 0o170000
        plain = not info.is_dir() and kind in (0, 0o100000)
        open_ = partial(archive.open, info)
        yield _Member(info.filename, info.file_size, info.compress_size, plain, info.is_dir(), open_)


def _tar_members(archive: tarfile.TarFile, packed: int) -> Iterator[_Member]:
    total = 0
    for info in archive:
        total += info.size
        if total > 3 * _LARGEST:
            raise ModelError(f"{Path(str(archive.name)).name} claims to hold more than {3 * _LARGEST >> 30} GiB.")
        yield _Member(info.name, info.size, packed, info.isreg(), info.isdir(), partial(archive.extractfile, info))


def _unpack(archive: str, members: list[_Member], folder: Path) -> None:
    found: dict[str, _Member] = {}
    for member in members:
        posix, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
        if posix.is_absolute() or windows.drive or windows.root or ".." in {*posix.parts, *windows.parts}:
            raise ModelError(f"{archive} wants to write outside its folder ({member.name!r}) and is refused.")
        if not member.plain and not member.folder:
            raise ModelError(f"{archive} holds a link or a device ({member.name!r}) and is refused.")
        if member.size > _LARGEST or (member.size > 2**20 and member.size > _DENSEST * max(member.packed, 1)):
            raise ModelError(
                f"{archive} is refused: {member.name!r} would unpack to {member.size / 2**20:.0f} MiB, which no model "
                "needs."
            )
        if member.plain and posix.name in (CARD, CONFIG, MEMORY, WEIGHTS):
            if posix.name in found:
                raise ModelError(f"{archive} holds more than one {posix.name}.", "Import one model at a time.")
            found[posix.name] = member
    for name, member in found.items():
        source = member.open()
        if source is None:
            raise ModelError(f"{archive} holds an unreadable {name}.")
        with source, (folder / name).open("wb") as target:
            left = member.size  # what was checked above; a member that goes on beyond its claim is a bomb
            while block := source.read(2**20):
                left -= len(block)
                if left < 0:
                    raise ModelError(f"{archive} is refused: {name} is larger than it claims.")
                target.write(block)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file or of a pickled state dict; code in a pickle is never run.

    Raises
    ------
    ModelError
        If the file is damaged, is TorchScript, holds a whole module, or torch is too old to read pickles safely.
    """
    if path.name.lower().endswith(".safetensors"):
        import safetensors
        import safetensors.torch

        try:
            return _bare(safetensors.torch.load_file(path), path.name)
        except (safetensors.SafetensorError, ValueError, OSError) as error:
            raise ModelError(f"{path.name} is truncated or damaged.", "Copy or download the file again.") from error
    return _bare(_read_pickle(path), path.name)


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
                names = archive.namelist()
        except _DAMAGE as error:
            raise ModelError(f"{path.name} is truncated or damaged.", "Copy or download the file again.") from error
        if any(n.endswith("constants.pkl") or "/code/" in n for n in names):
            raise ModelError(f"{path.name} is a TorchScript program, which is refused.", _CONVERT)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds more than weights (a whole module, or objects that would run code) and is refused.",
            _CONVERT,
        ) from error
    except Exception as error:  # whatever a damaged pickle leads to
        raise ModelError(f"{path.name} is truncated or damaged.", "Copy or download the file again.") from error


def _bare(content: Any, name: str) -> dict[str, Tensor]:
    """Find the state dict in what a training program saved, and take off the prefixes that wrappers add."""
    import torch

    for key in ("state_dict", "model_state_dict", "network_weights", "model", "net", "network"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict):
        raise ModelError(f"{name} holds no weights.", _CONVERT)
    state = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    heads = [key for key in state if ".segmentation_head." in f".{key}"]
    if not heads:
        raise ModelError(
            f"{name} holds no weights of a network of segmentation_models_pytorch: it has no segmentation_head.",
            "Only networks that segmentation_models_pytorch can build can be imported.",
        )
    prefix = heads[0][: heads[0].index("segmentation_head.")]
    # Beside the network there may be a loss's weights or an average of the network; only one network is meant.
    parts = tuple(f"{prefix}{part}." for part in ("encoder", "decoder", "segmentation_head", "classification_head"))
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(parts)}


def card_of(state: dict[str, Tensor], name: str, network: str, source: str) -> ModelCard:
    """Card for bare weights: architecture and encoder as told, channels and classes as the weights have them."""
    if not is_start(network) or "+" in network:
        raise ModelError(
            f"{source} holds weights alone, which do not tell what network they belong to.",
            "Name it as architecture:encoder, for example unet:resnet34.",
        )
    architecture, _, encoder = network.partition(":")
    check_names(architecture, encoder)
    head = [v for k, v in state.items() if k.startswith("segmentation_head.") and v.ndim == 4]
    first = [v for k, v in state.items() if k.startswith("encoder.") and v.ndim == 4]
    if not head or not first:
        raise ModelError(f"{source} holds no weights of {network}.")
    outputs, channels = int(head[-1].shape[0]), int(first[0].shape[1])
    arguments: dict[str, Any] = {}
    widths = [state.get(f"decoder.blocks.{i}.conv1.0.weight") for i in range(5)]
    if architecture.lower() == "unet" and all(w is not None for w in widths):
        arguments["decoder_channels"] = [int(w.shape[0]) for w in widths if w is not None]
    said = "divided at probability 0.5" if outputs == 1 else "the first output is taken for the background"
    try:
        return ModelCard(
            name=name, architecture=architecture.lower(), encoder=encoder, network=arguments, channels=channels,
            classes=tuple(ClassInfo.numbered(v) for v in range(1, max(2, outputs))),
            description=f"Imported from {source}: class names, normalisation and pixel size are guesses; {said}.",
        )  # fmt: skip
    except ValidationError as error:
        raise ModelError(f"{source} cannot be imported as {name!r}: {error.errors()[0]['msg']}.") from error
