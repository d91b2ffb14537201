"""What the channels of images are called, and whether two images have them in the same order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

LONGEST_NAME = 100
"""Letters in the name of a channel or class."""

ChannelName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]

RGB = ("red", "green", "blue")

_COUNTED = re.compile(
    r"(image|img|im|scan|photo|picture|slice|volume|vol|channel|chan|ch|c|file|path|series|modality|layer|input|data)?"
    r"[\W\d_]*"
)
"""Names that count or say what everything is: nothing is known from them."""


def printable(text: str) -> str:
    """Text of a file as it can be shown and saved: without signs that steer a terminal."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text).strip()


def clean_name(name: str) -> str:
    """A name that a file gives, as it can be shown and saved, and not too long."""
    return " ".join(printable(name).split())[:LONGEST_NAME].strip()


def settle_names(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Names of so many channels; nothing where they are not as many, two are alike, or one is only counted."""
    names = tuple(map(clean_name, names))
    alone = len({name.casefold() for name in names}) == len(names) == count > 1
    return names if alone and not any(_COUNTED.fullmatch(name.casefold()) for name in names) else ()


def same_names(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether channels are called the same, however people write that."""
    return _plain(names) == _plain(others)


def are_swapped(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether channels that two images have are in another order in one of them, by what they are called."""
    ours, theirs = _plain(names), _plain(others)
    beside = {*zip(ours, theirs, strict=False)}
    return (ours != theirs and sorted(ours) == sorted(theirs)) or any(
        one != other and (other, one) in beside for one, other in beside
    )


def find_swapped(named: Iterable[Sequence[str]]) -> tuple[int, int] | None:
    """Of the names of several images, the first two that have channels in another order; None where there are none."""
    orders: dict[tuple[str, ...], int] = {}
    for index, names in enumerate(map(tuple, named)):
        for others, first in orders.items():
            if are_swapped(names, others):
                return first, index
        orders.setdefault(names, index)
    return None


def _plain(names: Sequence[str]) -> list[str]:
    """As people write them in one way or another: ``T1-ce`` is ``t1ce``, but ``CD3-`` is not ``CD3+``."""
    solid = [re.sub(r"[\s_]+", "", name.casefold()) for name in names]
    plain = [re.sub(r"(?<=\w)[-.](?=\w)", "", name) for name in solid]
    return plain if len({*plain}) == len(plain) else [name.casefold() for name in names]
