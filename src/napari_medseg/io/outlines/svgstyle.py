"""Style, lengths and transforms of SVG (1.1: sections 4.2, 6, 7.6 and 7.8), as far as outlines need them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt
from PIL import ImageColor

from .drawing import FARTHEST, hex_color
from .files import local_name

Matrix = npt.NDArray[np.float64]

# CSS 2.1, section 4.3.2: 96 pixels to the inch.
_PER_UNIT = {
    "": 1.0,
    "px": 1.0,
    "pt": 96 / 72,
    "pc": 16.0,
    "mm": 96 / 25.4,
    "cm": 96 / 2.54,
    "in": 96.0,
    "q": 24 / 25.4,
}
_LENGTH = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*|%)\s*")
_TRANSFORM = re.compile(r"(\w+)\s*\(([^)]*)\)")
_RULE = re.compile(r"([^{}]+)\{([^}]*)\}")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_INHERITED = ("fill", "stroke", "fill-rule", "visibility")
_READ = (*_INHERITED, "display", "opacity")
_NO_COLOR = ("", "none", "transparent")


def length(text: str, whole: float) -> float:
    """A length in pixels; per cent are of ``whole``.

    Raises
    ------
    ValueError
        If it has a unit that stands for nothing here.
    """
    match = _LENGTH.fullmatch(text)
    if not match:
        raise ValueError(f"a length '{text[:20]}'")
    number, unit = float(match[1]), match[2].lower()
    if unit == "%":
        return number * whole / 100
    if unit not in _PER_UNIT:
        raise ValueError(f"a length in '{unit}'")
    return number * _PER_UNIT[unit]


def transform(text: str) -> Matrix:
    """Matrix (3, 3) of a transform attribute, for columns (x, y, 1).

    Raises
    ------
    ValueError
        If it makes no sense.
    """
    matrix = np.eye(3)
    for name, inner in _TRANSFORM.findall(text or ""):
        n = [float(v) for v in _NUMBER.findall(inner)]
        match name, len(n):
            case "matrix", 6:
                step = np.array([[n[0], n[2], n[4]], [n[1], n[3], n[5]], [0, 0, 1]])
            case "translate", (1 | 2):
                step = moved(n[0], n[1] if len(n) > 1 else 0)
            case "scale", (1 | 2):
                step = np.diag([n[0], n[-1], 1.0])
            case "rotate", (1 | 3):
                c, s = np.cos(np.radians(n[0])), np.sin(np.radians(n[0]))
                around = n[1:] or [0.0, 0.0]
                step = moved(*around) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ moved(-around[0], -around[1])
            case "skewX", 1:
                step = np.array([[1, np.tan(np.radians(n[0])), 0], [0, 1, 0], [0, 0, 1]])
            case "skewY", 1:
                step = np.array([[1, 0, 0], [np.tan(np.radians(n[0])), 1, 0], [0, 0, 1]])
            case _:
                raise ValueError(f"a transform '{name}' of {len(n)} numbers")
        matrix = matrix @ step
    if not np.isfinite(matrix).all():
        raise ValueError("a transform of numbers that are too large")
    return matrix


def moved(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def box_to_box(box: tuple[float, float, float, float], size: tuple[float, float], keep: str) -> Matrix:
    """Matrix that lays a view box (x, y, width, height) into a size (width, height), by preserveAspectRatio."""
    x, y, width, height = box
    if min(width, height) <= 0:
        raise ValueError("a viewBox without size")
    factors = np.array([size[0] / width, size[1] / height])
    words = [w for w in (keep or "xMidYMid meet").split() if w != "defer"]
    if words[0] == "none":
        return np.diag([*factors, 1.0]) @ moved(-x, -y)
    factor = float(factors.max() if words[-1] == "slice" else factors.min())
    share = {"Min": 0.0, "Mid": 0.5, "Max": 1.0}
    left = (size[0] - width * factor) * share.get(words[0][1:4], 0.5)
    top = (size[1] - height * factor) * share.get(words[0][5:8], 0.5)
    return moved(left, top) @ np.diag([factor, factor, 1.0]) @ moved(-x, -y)


def style_sheet(root: Element) -> dict[str, dict[str, str]]:
    """Rules of the ``style`` elements by their simple selectors (``.name``, ``#name``, ``name``)."""
    rules: dict[str, dict[str, str]] = {}
    for element in root.iter():
        if local_name(element) == "style" and element.text:
            for selectors, body in _RULE.findall(re.sub(r"/\*.*?\*/", "", element.text, flags=re.DOTALL)):
                for selector in selectors.split(","):
                    rules.setdefault(selector.strip(), {}).update(_declared(body))
    return rules


def style_of(element: Element, parent: Mapping[str, str], rules: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What holds for an element: inherited, its attributes, the sheet's rules, its own style."""
    found = {k: v for k, v in parent.items() if k in _INHERITED}
    own = {k: v for k in _READ if (v := element.get(k)) is not None}
    own |= rules.get(local_name(element), {})
    for name in (element.get("class") or "").split():
        own |= rules.get(f".{name}", {})
    own |= rules.get(f"#{element.get('id')}", {}) if element.get("id") else {}
    own |= _declared(element.get("style") or "")
    return found | {k: v for k, v in own.items() if v != "inherit"}


def color_of(text: str) -> str:
    """``#rrggbb``, or empty when it is no plain colour."""
    text = text.strip().lower()
    parts = re.findall(r"(-?[\d.]+)(%?)", text)[:3]
    try:
        if text.startswith("rgb") and len(parts) == 3:
            return hex_color(*(float(n) * (2.55 if percent else 1) for n, percent in parts))
        if text.startswith("hsl") and len(parts) == 3 and "turn" not in text and "rad" not in text:  # commas or none
            text = "hsl({},{}%,{}%)".format(*(n for n, _ in parts))
        return hex_color(*ImageColor.getrgb(text)[:3])
    except ValueError:
        return ""


def unknown_color(text: str) -> str:
    """What was meant as a colour and is none that is known; empty of colours, and of what says that there is none."""
    return "" if text.strip().lower() in _NO_COLOR or color_of(text) else text.strip()


def _declared(body: str) -> dict[str, str]:
    pairs = (item.split(":", 1) for item in body.split(";") if ":" in item)
    return {k.strip(): v.replace("!important", "").strip() for k, v in pairs}


def viewport(element: Element, outer: tuple[float, float]) -> tuple[Matrix, tuple[float, float]]:
    """Matrix of what lies in an ``svg`` element or symbol, and the size that per cent are of."""
    box = view_box(element)
    sizes = []
    for key, whole, side in (("width", outer[0], 2), ("height", outer[1], 3)):
        text = element.get(key, "100%").strip()
        relative = text.endswith("%") or text == "auto"
        if relative and not whole:  # of an outermost drawing: as large as its view box
            sizes.append(box[side] if box else 0.0)
        else:
            sizes.append(length("100%" if text == "auto" else text, whole))
    size = sizes[0], sizes[1]
    if box is None:
        return np.eye(3), size
    return box_to_box(box, size, element.get("preserveAspectRatio", "")), (box[2], box[3])


def view_box(element: Element) -> tuple[float, float, float, float] | None:
    text = element.get("viewBox")
    if not text:
        return None
    x, y, width, height = (float(n) for n in re.split(r"[\s,]+", text.strip()))
    return x, y, width, height


def whole_size(root: Element, inner: tuple[float, float]) -> tuple[float, float]:
    """Size of the drawing in pixels: what it says, or that of its view box.

    Raises
    ------
    ValueError
        If it says neither.
    """
    texts = root.get("width", "100%").strip(), root.get("height", "100%").strip()
    width, height = (
        size if text.endswith("%") or text == "auto" else length(text, size)
        for text, size in zip(texts, inner, strict=True)
    )
    if not (0 < width < FARTHEST and 0 < height < FARTHEST):
        raise ValueError("neither its size nor its viewBox is told")
    return width, height


def extent(matrix: Matrix, sides: Sequence[float]) -> tuple[float, float]:
    """Width and height in pixels of a box with these sides."""
    width, height = sides
    return float(np.hypot(*matrix[:2, 0]) * width), float(np.hypot(*matrix[:2, 1]) * height)


def applied(matrix: Matrix, points: Matrix) -> Matrix:
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])
