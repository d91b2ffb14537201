"""Slides as scanners write them, which are TIFF inside: Aperio, Hamamatsu, Leica, Akoya, and others' pyramids.

Sources: Aperio, "Digital Slides and Third-Party Data Interchange" (2008); Hamamatsu's tags and Leica's XML as tifffile
documents them.
"""

from __future__ import annotations

from functools import partial

from napari_medseg.io.format import Format
from napari_medseg.io.tiff.reading import TIFF_MAGIC, read_header, read_parts, read_pixels, read_pyramid, read_values

FORMAT = Format(
    "slide", "whole-slide image", (".svs", ".ndpi", ".scn", ".qptiff", ".svslide"), TIFF_MAGIC,
    partial(read_header, vendor=True), read_pixels, read_values, keeps=frozenset({"spacing"}), parts=read_parts,
    pyramid=partial(read_pyramid, vendor=True), masks=False,
)  # fmt: skip
