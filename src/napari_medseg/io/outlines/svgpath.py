"""Shapes of SVG as rings of points: paths with curves and arcs, rectangles, circles, polygons.

W3C Scalable Vector Graphics 1.1 (Second Edition): path data section 8.3, basic shapes section 9, arcs appendix F.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from .drawing import ellipse, steps_of_arc

Points = npt.NDArray[np.float64]
Length = Callable[[str, str], float]
"""Gives a length of a shape in user units, by the attribute's text and ``"x"``, ``"y"`` or ``"other"``."""

_TOKEN = re.compile(r"([MmZzLlHhVvCcSsQqTtAa])|([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|([\s,]+)|(.)")
_NUMBERS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
_MOST_POINTS = 2**24


def rings_of_path(data: str, error: float) -> list[Points]:
    """Rings (X, Y) of path data, curves as chords that stay within ``error``; closed or not.

    Raises
    ------
    ValueError
        If the data makes no sense.
    """
    pen = _Pen(error)
    for command, numbers in _commands(data):
        pen.draw(command, numbers)
    return [np.array(ring) for ring in pen.rings]


def rings_of_shape(name: str, attributes: Mapping[str, str], length: Length, error: float) -> list[Points] | None:
    """Rings of an element by its name; None when it is no shape that encloses anything."""

    def number(key: str, axis: str) -> float:
        return length(attributes.get(key, "0"), axis)

    match name:
        case "path":
            return rings_of_path(attributes.get("d", ""), error)
        case "polygon" | "polyline":
            found = [float(n) for n in re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", attributes["points"])]
            return [np.array(found[: len(found) // 2 * 2]).reshape(-1, 2)] if len(found) > 5 else []
        case "circle":
            radius = number("r", "other")
            return [ellipse((number("cx", "x"), number("cy", "y")), (radius, radius), error)]
        case "ellipse":
            radii = number("rx", "x"), number("ry", "y")
            return [ellipse((number("cx", "x"), number("cy", "y")), radii, error)]
        case "rect":
            return [_rectangle(attributes, number, error)]
    return None


def _rectangle(attributes: Mapping[str, str], number: Callable[[str, str], float], error: float) -> Points:
    x, y, width, height = number("x", "x"), number("y", "y"), number("width", "x"), number("height", "y")
    given = {k: number(k, k[1]) for k in ("rx", "ry") if attributes.get(k, "auto") != "auto"}
    rx = min(given.get("rx", given.get("ry", 0.0)), width / 2)
    ry = min(given.get("ry", given.get("rx", 0.0)), height / 2)
    if rx <= 0 or ry <= 0:
        return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    corner = ellipse((0, 0), (rx, ry), error)
    at = np.array([x + width / 2, y + height / 2])
    shift = np.array([width / 2 - rx, height / 2 - ry])
    # Points of the ellipse, pushed apart into the four corners; those on an axis belong to the first on its way.
    angle = np.arange(len(corner)) * (2 * np.pi / len(corner))
    right, down = np.cos(angle) >= 0, np.sin(angle) >= 0
    return np.asarray(corner + at + np.stack([np.where(right, 1, -1), np.where(down, 1, -1)], axis=1) * shift)


def _commands(data: str) -> Iterator[tuple[str, list[float]]]:
    """Commands with their numbers; a command whose numbers go on is repeated (M as L)."""
    tokens = [m for m in _TOKEN.finditer(data) if not m.group(3)]
    index = 0
    while index < len(tokens):
        command = tokens[index].group(1)
        if not command:
            raise ValueError(f"path data with '{tokens[index].group()[:20]}' where a command should be")
        index += 1
        if command in "Zz":
            yield command, []
            continue
        first = True
        while first or (index < len(tokens) and not tokens[index].group(1)):
            numbers, index = _take(command, tokens, index)
            yield command, numbers
            command, first = {"M": "L", "m": "l"}.get(command, command), False


def _take(command: str, tokens: list[re.Match[str]], index: int) -> tuple[list[float], int]:
    """The numbers of one command. Flags of an arc may be written without a space after them."""
    numbers: list[float] = []
    wanted = _NUMBERS[command.upper()]
    while len(numbers) < wanted:
        if index >= len(tokens) or not tokens[index].group(2):
            raise ValueError(f"path data with too few numbers after {command}")
        text = tokens[index].group(2)
        if command in "Aa" and len(numbers) in (3, 4) and text not in ("0", "1"):
            if text[0] not in "01":
                raise ValueError("an arc with a flag that is neither 0 nor 1")
            numbers.append(float(text[0]))
            rest = _TOKEN.match(text[1:])
            assert rest is not None
            tokens[index] = rest
            if rest.group() != text[1:]:
                second = _TOKEN.match(text[1 + len(rest.group()) :])
                assert second is not None
                tokens.insert(index + 1, second)
            continue
        numbers.append(float(text))
        index += 1
    return numbers, index


class _Pen:
    """Draws path commands."""

    def __init__(self, error: float) -> None:
        self.rings: list[list[tuple[float, float]]] = []
        self._error = error
        self._at = self._start = (0.0, 0.0)
        self._control: tuple[str, tuple[float, float]] = ("", (0.0, 0.0))
        self._open = False
        self._points = 0

    def draw(self, command: str, numbers: list[float]) -> None:
        kind, relative = command.upper(), command.islower()
        x, y = self._at
        base = (x, y) if relative else (0.0, 0.0)
        if not self.rings and kind != "M":
            raise ValueError("path data that does not begin with M")
        if kind == "Z":
            self._at, self._open, self._control = self._start, False, ("", self._start)
            return
        if kind == "M":
            self._at = self._start = (base[0] + numbers[0], base[1] + numbers[1])
            self._open, self._control = False, ("", self._at)
            self.rings.append([self._at])
            self._open = True
            return
        if not self._open:  # after Z a path goes on where it began
            self.rings.append([self._start])
            self._open = True
        match kind:
            case "H":
                self._to([(numbers[0] + base[0], y)])
            case "V":
                self._to([(x, numbers[0] + base[1])])
            case "L":
                self._to([(numbers[0] + base[0], numbers[1] + base[1])])
            case "A":
                end = (numbers[5] + base[0], numbers[6] + base[1])
                self._to(_arc((x, y), end, numbers[:5], self._error))
            case _:
                self._curve(kind, [(numbers[i] + base[0], numbers[i + 1] + base[1]) for i in range(0, len(numbers), 2)])
                return
        self._control = ("", self._at)

    def _curve(self, kind: str, points: list[tuple[float, float]]) -> None:
        family = "C" if kind in "CS" else "Q"
        if kind in "ST":
            last, (cx, cy) = self._control
            x, y = self._at
            points = [(2 * x - cx, 2 * y - cy) if last == family else (x, y), *points]
        control = points[-2]
        self._to(_bezier([self._at, *points], self._error))
        self._control = (family, control)

    def _to(self, points: list[tuple[float, float]]) -> None:
        self._points += len(points)
        if self._points > _MOST_POINTS:
            raise ValueError("a path of too many points")
        self.rings[-1].extend(points)
        self._at = points[-1]


def _bezier(points: list[tuple[float, float]], error: float) -> list[tuple[float, float]]:
    """Chords of a quadratic or cubic curve, its start left out."""
    control = np.array(points)
    degree = len(points) - 1
    bend = float(np.abs(np.diff(control, 2, axis=0)).max())
    # A chord over a piece 1/n long is off by at most degree (degree - 1) / 8 n² of the largest second difference.
    wanted = np.sqrt(degree * (degree - 1) * bend * np.sqrt(2) / (8 * error))
    t = np.linspace(0, 1, int(np.clip(np.ceil(wanted), 1, 4096)) + 1 if np.isfinite(wanted) else 2)[1:, np.newaxis]
    while len(control) > 1:
        if control.ndim == 2:
            control = control[:, np.newaxis, :]
        control = control[:-1] * (1 - t) + control[1:] * t
    return [(float(x), float(y)) for x, y in control[0]]


def _arc(
    start: tuple[float, float], end: tuple[float, float], numbers: list[float], error: float
) -> list[tuple[float, float]]:
    """Chords of an elliptical arc, by appendix F.6.5 (from end points to the centre)."""
    rx, ry, rotation, large, sweep = abs(numbers[0]), abs(numbers[1]), np.radians(numbers[2]), numbers[3], numbers[4]
    if not rx or not ry or start == end:
        return [end]
    turn = np.array([[np.cos(rotation), np.sin(rotation)], [-np.sin(rotation), np.cos(rotation)]])
    half = turn @ ((np.array(start) - end) / 2)
    radii = np.array([rx, ry])
    stretch = float(((half / radii) ** 2).sum())
    if stretch > 1:  # too small to reach: F.6.6
        radii = radii * np.sqrt(stretch)
    ratio = (half / radii) ** 2
    root = np.sqrt(max(0.0, 1 / max(ratio.sum(), 1e-300) - 1)) * (1 if large != sweep else -1)
    middle = root * np.array([half[1] * radii[0] / radii[1], -half[0] * radii[1] / radii[0]])
    center = turn.T @ middle + (np.array(start) + end) / 2
    first, last = (np.arctan2(*((sign * half - middle) / radii)[::-1]) for sign in (1, -1))
    angle = float(last - first)
    if sweep and angle < 0:
        angle += 2 * np.pi
    elif not sweep and angle > 0:
        angle -= 2 * np.pi
    steps = steps_of_arc(float(radii.max()), angle, error)
    along = first + angle * np.linspace(0, 1, steps + 1)[1:-1]
    points = (radii * np.stack([np.cos(along), np.sin(along)], axis=1)) @ turn + center
    return [*((float(x), float(y)) for x, y in points), end]
