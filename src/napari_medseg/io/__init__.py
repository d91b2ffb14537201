"""Pixels and masks in and out: PNG, TIFF, JPEG and BMP, one file, a series of slices, or a set."""

from .format import Format, Header, formats
from .masks import read_labels
from .pair_reading import read_pair
from .pairs import FilePair, Pairs, match_pairs
from .reading import read, read_set
from .series import Series, find_series
from .series import find_series as inspect
from .sidecar import Sidecar
from .writing import write

FORMATS = formats()

__all__ = [
    "FORMATS",
    "FilePair",
    "Format",
    "Header",
    "Pairs",
    "Series",
    "Sidecar",
    "find_series",
    "inspect",
    "match_pairs",
    "read",
    "read_labels",
    "read_pair",
    "read_set",
    "write",
]
