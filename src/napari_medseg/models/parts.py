"""Networks in what a training program saved: often more than one, such as the average of the weights beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_medseg.core import ModelError

if TYPE_CHECKING:
    from torch import Tensor

MASKS, SLICES = "segmentation_head.", "classification_head."
"""What the weights of a network's heads begin with."""

TOP = "top"
"""What a network is called that lies in the file itself, under no name."""

_DEEPEST = 4


def pick_network(content: Mapping[Any, Any], name: str, part: str) -> dict[str, Tensor]:
    """Weights of one network, without the prefixes that wrappers add; empty where there is none.

    Parameters
    ----------
    content
        All that is in the file.
    name
        Of the file, for messages.
    part
        Which network is meant: the keys on the way to it with dots between; needed only where there are several.

    Raises
    ------
    ModelError
        There are several and none is named, or there is none of that name.
    """
    found: dict[str, dict[str, Tensor]] = {}
    _collect(content, (), found, set())
    networks = {key: state for key, state in found.items() if any(k.startswith("encoder.") for k in state)} or found
    names = [*networks]
    if part and part not in names:
        raise ModelError(f"{name} holds no network called {part}.", f"It holds {', '.join(names) or 'none'}.")
    if len(names) > 1 and not part:
        raise ModelError(
            f"{name} holds {len(names)} networks: {', '.join(names)}.",
            f"Name the part to import, such as {names[-1]} (on the command line --part).",
        )
    return networks[part or names[0]] if names else {}


def _collect(
    content: Mapping[Any, Any], way: tuple[str, ...], found: dict[str, dict[str, Tensor]], seen: set[int]
) -> None:
    import torch

    if id(content) in seen or len(way) > _DEEPEST:
        return
    seen.add(id(content))
    state = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    heads = {f".{key}".partition(f".{head}")[0] for key in state for head in (MASKS, SLICES) if f".{head}" in f".{key}"}
    for head in sorted(heads):
        prefix = f"{head[1:]}." if head else ""
        # Beside the network there may be a loss's weights.
        parts = tuple(f"{prefix}{part}" for part in ("encoder.", "decoder.", MASKS, SLICES))
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(parts)}
        found[".".join((*way, head[1:])).strip(".") or TOP] = own
    for key, value in content.items():
        if isinstance(value, Mapping):
            _collect(value, (*way, str(key)), found, seen)
