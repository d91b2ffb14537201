"""The first elements of a DICOM file that matter, found by stepping over all others.

pydicom makes objects of every sequence on the way, which takes most of the time where thousands of files are looked at.
What is unusual is left to it: then nothing is given here.

Source: DICOM PS3.5, 7.1 "Data Elements", 7.5 "Nesting of Data Sets".
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from struct import Struct

Element = tuple[int, str | None, bytes]
"""Tag, value representation (None where it is implicit), value."""

_TAG, _EXPLICIT, _IMPLICIT, _LENGTH = Struct("<HH"), Struct("<HH2sH"), Struct("<HHL"), Struct("<L")
_ROOMY = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_CLOSE = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_OPEN = 0xFFFFFFFF
_DEPTH = 12

Reading = Callable[[bytes, int], tuple[int, str | None, int, int]]


class _OddError(Exception):
    """Something that is not stepped over here."""


@dataclass(frozen=True)
class Skimmed:
    """Elements that were wanted, and where the first one of tag ``stop`` or above begins."""

    elements: list[Element]
    place: int


def skim(data: bytes, *, implicit: bool, wanted: Collection[int], stop: int) -> Skimmed | None:
    """Look through the start of a little-endian data set up to an element of tag ``stop`` or above.

    Returns
    -------
    Skimmed
        None where ``data`` ends before, or holds what is better read by a whole parser: a sequence that is wanted,
        unknown kinds of elements, odd nesting.
    """
    read: Reading = _read_implicit if implicit else _read_explicit
    found: list[Element] = []
    at, size = 0, len(data)
    try:
        while at + 12 <= size:
            group, number = _TAG.unpack_from(data, at)
            if (group << 16 | number) >= stop:
                return Skimmed(found, at)
            tag, vr, length, at = read(data, at)
            if length == _OPEN:
                if tag in wanted:
                    return None
                at = _skip_sequence(data, at, _read_implicit if vr == "UN" else read, _DEPTH)
                continue
            if tag in wanted:
                if vr == "SQ" or at + length > size:
                    return None
                found.append((tag, vr, data[at : at + length]))
            at += length
    except _OddError:
        pass
    return None


def read_head(data: bytes, at: int, *, implicit: bool) -> tuple[int, int, int] | None:
    """Tag, length and begin of the value of the element that begins here."""
    try:
        tag, _, length, begin = (_read_implicit if implicit else _read_explicit)(data, at)
    except _OddError:
        return None
    return tag, length, begin


def _read_explicit(data: bytes, at: int) -> tuple[int, str | None, int, int]:
    """Tag, value representation, length and begin of the value of the element at a place."""
    if at + 12 > len(data):
        raise _OddError
    group, number, vr, length = _EXPLICIT.unpack_from(data, at)
    tag = group << 16 | number
    if vr in _CLOSE:
        return tag, vr.decode(), length, at + 8
    if vr in _ROOMY:
        return tag, vr.decode(), _LENGTH.unpack_from(data, at + 8)[0], at + 12
    if group == 0xFFFE:
        return tag, None, _LENGTH.unpack_from(data, at + 4)[0], at + 8
    raise _OddError


def _read_implicit(data: bytes, at: int) -> tuple[int, str | None, int, int]:
    if at + 8 > len(data):
        raise _OddError
    group, number, length = _IMPLICIT.unpack_from(data, at)
    return group << 16 | number, None, length, at + 8


def _skip_sequence(data: bytes, at: int, read: Reading, depth: int) -> int:
    """Where the element after a sequence of unknown length begins."""
    if not depth:
        raise _OddError
    while True:
        tag, _, length, at = read(data, at)
        if tag == _END_OF_SEQUENCE:
            return at
        if tag != _ITEM:
            raise _OddError
        if length != _OPEN:
            at += length
            continue
        while True:
            tag, _, length, at = read(data, at)
            if tag == _END_OF_ITEM:
                break
            at = _skip_sequence(data, at, read, depth - 1) if length == _OPEN else at + length
