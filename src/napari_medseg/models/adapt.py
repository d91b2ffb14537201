"""Give a trained network other classes or other channels, and keep everything it has learnt that still applies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_medseg.core import ClassInfo, ModelCard, ModelError, first_problem

from .build import QUICK, build_network, unwrap
from .heads import UNSET

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

_NOISE = 0.01  # of the old rows' spread: tells new classes apart without disturbing the old ones


def adapt_network(
    card: ModelCard, network: nn.Module, *, classes: Sequence[ClassInfo], channels: int
) -> tuple[ModelCard, nn.Module]:
    """Copy a network with another head or another first layer; all other weights are copied bit for bit.

    The output row of a class comes from the old class of the same name. When no name matches: several old classes that
    become a single one are averaged, otherwise the old class of the same value is taken. Any other class starts from
    the mean of the old foreground rows with a little noise. The background stays.

    Fewer input channels sum or repeat the first layer's weights as timm and smp do, so that a grey image given as RGB
    (or the other way round) has the same result.

    Parameters
    ----------
    card, network
        The model to start from; neither is changed.
    classes
        The classes of the new network.
    channels
        Channels of one slice of the new network.

    Returns
    -------
    tuple
        Card (without hash; without scores if a weight has changed its meaning) and network, in the mode (``train`` or
        ``eval``) and on the device of the old one.

    Raises
    ------
    ModelError
        If the classes contradict each other or the network cannot have so many channels.
    """
    new_card = _adapted_card(card, tuple(classes), channels)
    rows = match_classes(card.classes, new_card.classes)
    if card.architecture == QUICK:
        from .quick import adapt_quick

        return new_card, adapt_quick(network, new_card, rows)
    new: Any = build_network(new_card)
    old_state, wanted = unwrap(network).state_dict(), new.state_dict()
    head = _head_prefix(new) if card.outlines else None
    state = {}
    for key, value in old_state.items():
        if head is not None and key.startswith(head):
            state[key] = _take_rows(value, rows, new_card.out_channels)
        elif key in wanted and value.shape != wanted[key].shape:
            state[key] = _take_channels(value, card, channels, wanted[key].shape)
        else:
            state[key] = value.clone()
    if missing := [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]:
        raise ModelError(f"{card.name} cannot get {channels} channels: {missing[0]} does not allow it.")
    new.load_state_dict(state)
    device = next(network.parameters()).device
    return new_card, new.to(device).train(network.training)


def add_slice_head(card: ModelCard, network: nn.Module) -> tuple[ModelCard, nn.Module]:
    """Copy a network with a slice head that has learnt nothing yet; one that has a head comes back as it is.

    Raises
    ------
    ModelError
        A Quick model can have none.
    """
    if card.presence is not None:
        return card, network
    if card.architecture == QUICK:
        raise ModelError(
            "A Quick model cannot learn whether a slice holds anything.", "Start from a network, such as unet:resnet18."
        )
    new_card = card.model_copy(update={"presence": UNSET, "sha256": ""})
    new: Any = build_network(new_card)
    new.load_state_dict({**new.state_dict(), **unwrap(network).state_dict()})
    device = next(network.parameters()).device
    return new_card, new.to(device).train(network.training)


def level_merged(old: nn.Module, new: nn.Module, inputs: Iterable[npt.NDArray[np.float32]]) -> None:
    """Shift the only class of ``new``, made of several of ``old``, so that it is found where any of those is.

    Where one of them is, the others surely are not: their mean alone often lies below the background there.

    Parameters
    ----------
    inputs
        Of both networks, (C, Y, X), with sides that they take.
    """
    import torch

    there, above = [], []
    with torch.no_grad():
        for one in inputs:
            before, after = (
                found if isinstance(found := network(torch.from_numpy(one)[None]), torch.Tensor) else found[0]
                for network in (old, new)
            )
            there.append((before.argmax(1) > 0).flatten())
            above.append((after[:, 1] - after[:, 0]).flatten())
        if not any(found.any() for found in there):
            return
        wanted, margin = torch.cat(there), torch.cat(above)
        shifts = torch.arange(0, 20, 0.5).tolist()
        overlaps = [float((wanted & (margin > -s)).sum() / (wanted.sum() + (margin > -s).sum())) for s in shifts]
        bare: Any = unwrap(new)
        bare.get_parameter(f"{_head_prefix(bare)}bias")[1] += shifts[overlaps.index(max(overlaps))]


def match_classes(old: Sequence[ClassInfo], new: Sequence[ClassInfo]) -> list[tuple[int, ...]]:
    """For each new class, the output channels (0 is the background) of the old classes it continues; () if none."""
    names = {c.name.strip().casefold(): i for i, c in enumerate(old, start=1)}
    found = [names.get(c.name.strip().casefold()) for c in new]
    if any(found):
        return [(i,) if i else () for i in found]
    if len(new) == 1 and len(old) > 1:
        return [tuple(range(1, len(old) + 1))]
    values = {c.value: i for i, c in enumerate(old, start=1)}
    return [(values[c.value],) if c.value in values else () for c in new]


def _adapted_card(card: ModelCard, classes: tuple[ClassInfo, ...], channels: int) -> ModelCard:
    values = card.normalisation
    if values.mean and channels != card.channels:
        mean, std = ((sum(v) / len(v),) * channels for v in (values.mean, values.std))
        values = values.model_copy(update={"mean": mean, "std": std})
    same = channels == card.channels and [(c.value, c.name) for c in classes] == [
        (c.value, c.name) for c in card.classes
    ]
    changes = {"classes": classes, "channels": channels, "normalisation": values, "sha256": ""}
    if not same:
        changes["scores"] = ()
    if channels != card.channels:
        changes["channel_names"] = ()
    try:
        return ModelCard.model_validate({**dict(card), **changes})
    except ValidationError as error:
        raise ModelError(f"{card.name} cannot be adapted: {first_problem(error)}.") from error


def _head_prefix(network: Any) -> str:
    """Prefix of the keys of the convolution that gives the classes: the last one of the head."""
    from torch import nn

    convolutions = [name for name, m in network.segmentation_head.named_modules() if isinstance(m, nn.Conv2d)]
    return f"segmentation_head.{convolutions[-1]}."


def _take_rows(old: Tensor, rows: list[tuple[int, ...]], outputs: int) -> Tensor:
    """Rows of the head's weight (outputs, C, k, k) or bias (outputs,) for the new classes, background first."""
    import torch

    new = old.new_empty((outputs, *old.shape[1:]))
    new[0] = old[0]
    generator = torch.Generator().manual_seed(0)  # the same start each time
    foreground = old[1:].float()
    for i, sources in enumerate(rows, start=1):
        if len(sources) == 1:
            new[i] = old[sources[0]]
        elif sources:
            new[i] = old[list(sources)].float().mean(0).to(old.dtype)
        else:
            noise = torch.randn(old.shape[1:], generator=generator).to(old.device)
            new[i] = (foreground.mean(0) + _NOISE * foreground.std(correction=0) * noise).to(old.dtype)
    return new


def _take_channels(old: Tensor, card: ModelCard, channels: int, shape: Sequence[int]) -> Tensor:
    """First layer's weight (O, slices * channels, k, k) for another number of channels per slice."""
    slices = 2 * card.neighbours + 1
    if old.ndim != 4 or old.shape[1] != slices * card.channels:
        raise ModelError(f"{card.name} cannot get {channels} channels: its first layer is not an ordinary one.")
    weight = old.float().reshape(old.shape[0], slices, card.channels, *old.shape[2:])
    if channels == 1:
        weight = weight.sum(2, keepdim=True)
    else:
        order = [i % card.channels for i in range(channels)]
        weight = weight[:, :, order] * (card.channels / channels)
    return weight.flatten(1, 2).to(old.dtype).reshape(*shape)
