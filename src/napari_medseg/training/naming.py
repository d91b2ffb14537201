"""What mask values are called, as people write it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from napari_medseg.core import ClassInfo, InputError

BACKGROUND = "background"
"""A mask value whose class has this name means background: in strokes, 0 means unlabelled and background is painted."""

LISTED = 8
"""Values that are listed before the rest is left out."""

Classes = Mapping[int, str] | Mapping[str, str] | Iterable[ClassInfo | str]


def name_colors(classes: Classes) -> tuple[tuple[ClassInfo, ...], tuple[str, ...]]:
    """Classes of values as `name_classes` has them, or numbered as colours are named; then the background's colours.

    Without colours the latter are empty; with them they are those named ``background``, else black.

    Raises
    ------
    InputError
        Some name a colour and others none, or `name_classes` cannot take them.
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
    """Classes from ``{1: "femur"}``, ``["1=femur"]`` or themselves; each value once.

    Raises
    ------
    InputError
        A value is named twice, or one is no class.
    """
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


def merged_class(classes: Iterable[ClassInfo], start: Sequence[ClassInfo] = ()) -> ClassInfo:
    """The class as which all classes of masks are taken: the one that is named, else the only one of the start model.

    Raises
    ------
    InputError
        Several are named.
    """
    named = list(classes)
    ground = {c.value for c in named if is_background(c)}
    own = [c for c in named if not is_background(c)]
    if len({c.name for c in own}) > 1:
        names = " and ".join(f"'{c.name}'" for c in own[:2])
        raise InputError(
            f"Several classes are named, such as {names}, which are not to be taken as one.",
            "Name one class only, or do not merge.",
        )
    if own:
        return own[0]
    free = next(value for value in range(1, len(ground) + 2) if value not in ground)
    return ClassInfo.numbered(free, start[0].name if len(start) == 1 else "")


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names in a sentence: ``'liver', 'spleen' and 'kidney'``; of very many, the last are counted."""
    shown = [f"'{name}'" for name in names]
    if len(shown) > most:
        shown = [*shown[: most - 1], f"{len(shown) - most + 1} others"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def is_background(info: ClassInfo) -> bool:
    return info.name.lower() == BACKGROUND


def merged_in_words(values: Collection[int], merged: ClassInfo) -> str:
    """What there is to say of values that are taken as one class; empty where they are that class by themselves."""
    if {*values} <= {merged.value}:
        return ""
    listed = sorted(values)
    if len(listed) == 1:
        return f"Value {listed[0]} is taken as the class '{merged.name}'."
    shown = [str(value) for value in listed]
    if len(listed) > LISTED:
        shown = [*shown[:3], "…", shown[-1]]
    return f"Values {', '.join(shown).replace(', …,', ' …')} are taken as one class, '{merged.name}'."


def _name_class(text: str) -> ClassInfo:
    value, _, name = (part.strip() for part in text.partition("="))
    # Not isdigit, which takes "²" too; a mask's values stay below 2^32.
    if not value.isdecimal() or len(value) > 10 or not int(value) or not name:
        raise InputError(f"'{text}' does not name a class.", "Write VALUE=NAME, for example 1=femur.")
    return ClassInfo.numbered(int(value), name)


def figure_name(outlines: bool) -> str:
    """What is measured on held-out slices: of masks Dice, of slices the same, which is called F1 there."""
    return "Dice" if outlines else "F1 of slices"
