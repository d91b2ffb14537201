"""Images for one test at the end: they neither train nor choose between weights, models or settings."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medseg.core import Image, InputError, spread
from napari_medseg.io.findings import some_of

from .split import FEWEST, NOTHING, Past, inner, is_alone
from .truth import Painted
from .volumes import group_volumes

_ELSE = "Give more images, or leave out the test."


def set_aside(
    painted: Sequence[Painted], share: float, past: Past = NOTHING
) -> tuple[list[Painted], list[Painted], str]:
    """Divide labelled slices into those a run may use and those for the test, the same way each time.

    By group where groups are given, or where there are enough volumes; else by image, a file or a volume; else, of a
    single volume, inner slices. They are evenly spread, whatever they show, so that the test is like the rest. What is
    alone with some class stays, and what the start model has learnt from or was chosen by is no test. Where volumes are
    groups, the usable slices have them too, so that what is held out next are whole ones however many are left.

    Returns
    -------
    usable, test, note

    Raises
    ------
    InputError
        Nothing can be set aside.
    """
    if share == 0:
        return list(painted), [], ""
    # The past has no say in which are chosen: so the same go on being the test of what is trained from this model.
    whole = group_volumes(painted)
    units = _units(whole)
    groups = [[whole[k] for k in unit] for unit in units]
    if len(groups) < FEWEST:
        raise InputError(f"Of {len(groups)} images or groups none can be set aside for a test.", _ELSE)
    shows = [{v for one in group for v in one.shown} for group in groups]
    candidates = [i for i in inner(groups) if not is_alone(i, shows)]
    wanted = min(max(1, round(len(groups) * share)), len(candidates))
    chosen: set[int] = set()
    for i in spread(candidates, wanted):
        if not is_alone(i, shows, without=chosen):
            chosen.add(i)
    known = past.trained | past.measured.keys()
    seen = {i for i in chosen if known and any(one.identity in known for one in groups[i])}
    chosen -= seen
    if not chosen:
        why = "the start model knows them" if seen else "each has a class of its own"
        raise InputError(f"No image can be set aside for a test: {why}.", _ELSE)
    left = group_volumes(painted, past.trained, past.measured)
    test = [one for i in sorted(chosen) for one in groups[i]]
    usable = [left[k] for i, unit in enumerate(units) if i not in chosen for k in unit]
    names = some_of([*dict.fromkeys(_called([painted[k] for k in units[i]]) for i in sorted(chosen))], 5)
    note = f"Set aside for the test: {len(test)} of {len(painted)} slices ({names})."
    if seen:
        note += f" {len(seen)} others are none, as the start model knows them."
    return usable, test, note


def _units(painted: Sequence[Painted]) -> list[list[int]]:
    """Indices of what is set aside as a whole: groups, else images, else slices where there are too few of those."""
    for key in (_image, _slice):
        units: dict[object, list[int]] = {}
        for i, one in enumerate(painted):
            units.setdefault(one.group or key(one, i), []).append(i)
        if len(units) >= FEWEST:
            break
    return [*units.values()]


def _image(one: Painted, i: int) -> object:
    return id(one.image) if _is_volume(one.image) else i


def _slice(one: Painted, i: int) -> object:
    return i


def _is_volume(image: Image) -> bool:
    """Whether the slices of a stack are of one thing whatever else there is; files of one size may be of many."""
    return image.is_stack and (image.geometry.known or not image.names)


def _called(slices: Sequence[Painted]) -> str:
    """What to call a group, a volume or a slice."""
    one = slices[0]
    return one.group or (one.image.source.name if len(slices) > 1 and one.image.source else one.name)
