"""Images, masks and outlines in and out of files, with their place in space: one file, a series of slices, or a set.

``formats`` and ``annotations`` hold one file for each format; what a format needs besides lies in the folder that is
called like it (``dicom``, ``dicom_seg``, ``tiff``, ``zarr``, ``volumes``), and what is done with masks whatever their
format in ``masks``, ``pairs`` and ``outlines``.
"""

from .channels import join_channels
from .format import Format, Header
from .masks.reading import read_labels
from .pairs.matching import match_pairs
from .pairs.pair import FilePair, Pairs
from .pairs.reading import read_pair
from .reading import read, read_set
from .registry import formats
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
    "join_channels",
    "match_pairs",
    "read",
    "read_labels",
    "read_pair",
    "read_set",
    "write",
]
