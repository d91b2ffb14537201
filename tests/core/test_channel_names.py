"""What channels are called, and which images have them in the same order."""

from __future__ import annotations

import pytest

from napari_medseg.core import are_swapped, clean_name, find_swapped, same_names, settle_names


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (" T1  after\tcontrast ", "T1 after contrast"),
        ("liver\n\x1b[31m", "liver [31m"),
        ("T1\u202e\x85", "T1"),
        ("a\ud800", "a"),
        ("Läsion", "Läsion"),
        ("x" * 200, "x" * 100),
    ],
)
def test_names_of_files_can_be_shown_and_saved(told: str, name: str) -> None:
    assert clean_name(told) == name
    clean_name(told).encode()


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (("T1", "FLAIR"), ("T1", "FLAIR")),
        (("T1", "T2"), ("T1", "T2")),
        (("b0", "b1000"), ("b0", "b1000")),
        (("image1", "image2"), ()),
        (("ch0", "ch1"), ()),
        (("C01", "C02"), ()),
        (("path", "path 2"), ()),
        (("Channel:0:0", "Channel:0:1"), ()),
        (("0", "1"), ()),
        (("a", "A"), ()),
        (("a", ""), ()),
        (("a", "\u202e"), ()),
        (("a", "b", "c"), ()),
    ],
)
def test_names_that_say_nothing_are_none(told: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert settle_names(told, 2) == names


@pytest.mark.parametrize(
    ("names", "others", "same", "swapped"),
    [
        ("T1 FLAIR", "t1 flair", True, False),
        ("T1-ce T2w", "t1ce t2-w", True, False),
        ("T1 T1+", "T1+ T1", False, True),
        ("CD3+ CD3-", "CD3- CD3+", False, True),
        ("t-1 t1", "t1 t-1", False, True),
        ("T1 FLAIR", "FLAIR T1", False, True),
        ("a b c", "b c a", False, True),
        ("T1 FLAIR T1c", "FLAIR T1 T1ce", False, True),  # two stand at each other's place
        ("T1 FLAIR", "FLAIR T2", False, False),
        ("T1 T2", "T1 FLAIR", False, False),
        ("T1 T2", "", False, False),
        ("T1 T2 FLAIR", "T1 T2", False, False),
    ],
)
def test_channels_are_the_same_or_swapped(names: str, others: str, same: bool, swapped: bool) -> None:
    for ours, theirs in ((names, others), (others, names)):
        assert same_names(ours.split(), theirs.split()) is same
        assert are_swapped(ours.split(), theirs.split()) is swapped


def test_two_that_are_swapped_are_found_wherever_they_are() -> None:
    a, b, c = ("T1", "FLAIR"), ("T1", "T2"), ("T2", "T1")
    assert find_swapped([a, b, (), a, c]) == (1, 4)
    assert find_swapped([(), a, b, a]) is None
