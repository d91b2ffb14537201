"""Lengths in words."""

from __future__ import annotations

import pytest

from napari_medseg.core import lengths_in_words


@pytest.mark.parametrize(
    ("lengths", "words"),
    [((0.8,), "0.8 mm"), ((0.8, 0.8), "0.8 mm"), ((0.8, 0.91), "0.8×0.91 mm"), ((0.00045,), "0.45 µm"), ((3,), "3 mm")],
)
def test_lengths_are_told_as_people_say_them(lengths: tuple[float, ...], words: str) -> None:
    assert lengths_in_words(*lengths) == words
