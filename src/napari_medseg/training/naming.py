"""What mask values are called, as people write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from napari_medseg.core import ClassInfo, InputError

Classes = Mapping[int, str] | Mapping[str, str] | Iterable[ClassInfo | str]


def name_colors(classes: Classes) -> tuple[tuple[ClassInfo, ...], tuple[str, ...]]:
    """Classes of values as `name_classes` has them, or numbered as colours are named; then the background's colours.

    Without colours the latter are empty; with them they are those named ``background``, else black.
    """
    chosen = [f"{key}={name}" for key, name in classes.items()] if isinstance(classes, Mapping) else [*classes]
    texts = [one.partition("=") for one in chosen if isinstance(one, str)]
    if all(key.strip().isdecimal() for key, _, _ in texts):
        return name_classes(chosen), ()
    from napari_medseg.io.masks.legend import color_of, legend_of

    colors = [(color_of(key), name.strip()) for key, _, name in texts]
    if len(texts) < len(chosen) or not any(color for color, _ in colors):
        return name_classes(chosen), ()
    named = [(color, name) for color, name in colors if color and name]
    if len(named) < len(colors):
        raise InputError("Some of the classes do not name a colour.", "Write COLOUR=NAME for all: #00ff00=gland.")
    legend = legend_of(named)
    return legend.classes, legend.background


def name_classes(classes: Mapping[int, str] | Iterable[ClassInfo | str]) -> tuple[ClassInfo, ...]:
    """Classes from ``{1: "femur"}``, ``["1=femur"]`` or themselves; each value once."""
    if isinstance(classes, Mapping):
        classes = [f"{value}={name}" for value, name in classes.items()]
    named: dict[int, ClassInfo] = {}
    for one in classes:
        found = one if isinstance(one, ClassInfo) else _name_class(one)
        if found.value in named:
            raise InputError(
                f"Value {found.value} is named twice: '{named[found.value].name}' and '{found.name}'.",
                "Give each mask value one name.",
            )
        named[found.value] = found
    return tuple(named.values())


def _name_class(text: str) -> ClassInfo:
    value, _, name = (part.strip() for part in text.partition("="))
    # Not isdigit, which takes "²" too; a mask's values stay below 2^32.
    if not value.isdecimal() or len(value) > 10 or not int(value) or not name:
        raise InputError(f"'{text}' does not name a class.", "Write VALUE=NAME, for example 1=femur.")
    return ClassInfo.numbered(int(value), name)
