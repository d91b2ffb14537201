"""A made-up user with a brush: strokes on whole masks, and strokes that correct a prediction.

The masks say what the user knows; only pixels under a stroke are given away, all others are unlabelled.

    strokes = simulate_strokes(mask)                      # the first few strokes on a slice, 0.5 % of its pixels
    more = correct(prediction, mask)                      # what the user paints over the worst errors
    strokes = np.where(more != 255, more, strokes)        # later strokes win

Background is painted with its own value, 0; pixels without a stroke have ``unlabelled``, which is the value to give to
the training as its option ``unlabelled``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.measure import find_contours, label
from skimage.morphology import disk, skeletonize

Mask = npt.NDArray[np.integer]
Area = npt.NDArray[np.bool_]
Path = npt.NDArray[np.integer]

BRUSH = 1
"""Radius of the brush: strokes are three pixels wide."""

NEAR = 3
"""Distance in pixels of the background strokes that run beside an object's border."""

SMALLEST = 20
"""Objects and errors of fewer pixels are not painted, unless there is no larger one."""

CANDIDATES = 8
"""Lines elsewhere in the background that are looked at for one that is drawn."""


def simulate_strokes(
    mask: Mask,
    share: float = 0.005,
    unlabelled: int = 255,
    *,
    image: npt.NDArray[np.number] | None = None,
    seed: int = 0,
) -> Mask:
    """First strokes of a user on one slice.

    In every object one stroke along its middle and one along its border, inside; in the background one stroke beside
    every object and some elsewhere. Half of the pixels go to objects, half to the background.

    Parameters
    ----------
    mask
        The whole truth, (Y, X): 0 background, other values classes.
    share
        Of the slice's pixels that are painted, about.
    unlabelled
        Value of pixels without a stroke.
    image
        (Y, X) or (Y, X, C): background strokes elsewhere then cross what is to be seen and not plain air.
    seed
        Of the random numbers: equal seeds paint alike.

    Returns
    -------
    numpy.ndarray
        (Y, X), the dtype of ``mask``, large enough for ``unlabelled``.
    """
    random = np.random.default_rng(seed)
    painted = _blank(mask, unlabelled)
    budget = share * mask.size
    objects = list(_objects(mask))
    background = mask == 0
    sides = [float(np.sqrt(area.sum())) for _, area in objects]
    for (value, area), side in zip(objects, sides, strict=True):
        each = budget / 2 * side / sum(sides)
        used = _stroke(painted, _middle(area), area, value, each / 2)
        _stroke(painted, _beside(area, -(BRUSH + 1), random), area, value, each - used)
    rest = budget / 2
    for _, area in objects:
        rest -= _stroke(painted, _beside(area, NEAR, random), background, 0, budget / 4 / len(objects))
    far = ndimage.distance_transform_edt(background) > 4 * NEAR if objects else background
    for _ in range(50):
        if rest < 1 or not far.any():
            break
        length = min(rest / (2 * BRUSH + 1), max(mask.shape) / 8)
        rest -= _stroke(painted, _elsewhere(far, length, image, random), background, 0, rest)
    return painted


def correct(prediction: Mask, truth: Mask, share: float = 0.005, unlabelled: int = 255, *, seed: int = 0) -> Mask:
    """Strokes that a user paints over the worst errors of a slice: the largest first, each along its middle and border.

    Errors that are nowhere thicker than two pixels are left alone: nobody sees them.

    Parameters
    ----------
    prediction, truth
        Class values, (Y, X).
    share, unlabelled, seed
        See `simulate_strokes`; a slice without visible errors gets no stroke.
    """
    random = np.random.default_rng(seed)
    painted = _blank(truth, unlabelled)
    rest = share * truth.size
    errors = [
        (int(value), area)
        for value in np.unique(truth)
        for area in _parts((truth == value) & (prediction != truth))
        if ndimage.distance_transform_edt(np.pad(area, 1)).max() >= 2
    ]
    for value, area in sorted(errors, key=lambda error: -error[1].sum()):
        if rest < 1:
            break
        # No user spends everything on one place, nor more strokes than the place has room for.
        each = min(rest, share * truth.size / 3, area.sum() / 4)
        used = _stroke(painted, _middle(area), area, value, each / 2)
        used += _stroke(painted, _beside(area, -(BRUSH + 1), random), area, value, each - used)
        rest -= used
    return painted


def _blank(mask: Mask, unlabelled: int) -> Mask:
    if (mask == unlabelled).any():
        raise ValueError(f"the mask has a class with the value {unlabelled}, which means unlabelled")
    return np.full(mask.shape, unlabelled, np.promote_types(mask.dtype, np.min_scalar_type(unlabelled)))


def _objects(mask: Mask) -> Iterator[tuple[int, Area]]:
    """Value and area of every connected object."""
    for value in np.unique(mask[mask > 0]).tolist():
        for area in _parts(mask == value):
            yield value, area


def _parts(area: Area) -> list[Area]:
    """Connected parts, without specks unless there is nothing else."""
    parts = label(area, connectivity=1)
    sizes = np.bincount(parts.ravel())[1:]
    keep = [i for i, size in enumerate(sizes, 1) if size >= SMALLEST] or (
        [int(sizes.argmax()) + 1] if len(sizes) else []
    )
    return [parts == i for i in keep]


def _middle(area: Area) -> Path:
    """Pixels of the longest way through the skeleton of an area, in order, from the middle outwards in turns."""
    skeleton = skeletonize(np.pad(area, 1))[1:-1, 1:-1]
    points = np.argwhere(skeleton if skeleton.any() else area)
    costs = np.where(skeleton, 1.0, np.inf) if skeleton.any() else np.where(area, 1.0, np.inf)
    first = tuple(points[0])
    for _ in range(2):
        ways = MCP_Geometric(costs)
        total = ways.find_costs([first])[0]
        reached = points[np.isfinite(total[tuple(points.T)])]
        first = tuple(reached[total[tuple(reached.T)].argmax()])
    path = np.array(ways.traceback(first))
    middle = len(path) // 2
    return path[np.argsort(abs(np.arange(len(path)) - middle), kind="stable")]


def _beside(area: Area, distance: int, random: np.random.Generator) -> Path:
    """Pixels along the border of an area, that far outside (or inside, where negative), from a random start."""
    padded = np.pad(area, 1)
    reach = ndimage.distance_transform_edt(~padded) - ndimage.distance_transform_edt(padded)
    lines = find_contours(reach, distance)
    if not lines:
        return np.zeros((0, 2), int)
    line = max(lines, key=len).round().astype(int) - 1
    inside = ((line >= 0) & (line < area.shape)).all(1)
    return np.roll(line[inside], int(random.integers(max(1, inside.sum()))), axis=0)


def _elsewhere(far: Area, length: float, image: npt.NDArray[np.number] | None, random: np.random.Generator) -> Path:
    """Pixels of a straight line through the background; of several, the one that crosses most."""
    points = np.argwhere(far)
    steps = np.linspace(0, 1, max(2, round(length)))[:, None]
    best, best_spread = points[:1], -1.0
    for _ in range(CANDIDATES if image is not None else 1):
        angle = random.uniform(0, 2 * np.pi)
        end = np.array([np.sin(angle), np.cos(angle)]) * length
        line = (points[random.integers(len(points))] + steps * end).round().astype(int)
        line = line[((line >= 0) & (line < far.shape)).all(1)]
        line = line[far[tuple(line.T)]]
        spread = float(np.std(image[tuple(line.T)])) if image is not None and len(line) else 0.0
        if len(line) and spread > best_spread:
            best, best_spread = line, spread
    return best


def _stroke(painted: Mask, path: Path, allowed: Area, value: int, budget: float) -> int:
    """Draw along ``path`` inside ``allowed`` until about ``budget`` pixels are painted; how many were."""
    rows, columns = np.nonzero(disk(BRUSH))
    brush = np.stack([rows, columns], 1) - BRUSH
    done = 0
    for point in path:
        if done >= budget:
            break
        spots = point + brush
        spots = spots[((spots >= 0) & (spots < painted.shape)).all(1)]
        spots = tuple(spots[allowed[tuple(spots.T)]].T)
        done += int((painted[spots] != value).sum())
        painted[spots] = value
    return done
