"""Slides of other scanners, through OpenSlide: 3DHistech, Hamamatsu's VMS, Ventana, Zeiss."""

from __future__ import annotations

from napari_medseg.io.format import Format
from napari_medseg.io.openslide import EXTRA, read_header, read_pixels, read_pyramid

_TEXT = (b"[Virtual Microscope Specimen]", b"[Uncompressed Virtual Microscope Specimen]")
_MAGIC = (b"\xff\xd8", b"II*\x00", b"II+\x00", b"ZISRAWFILE", *_TEXT)

FORMAT = Format(
    "openslide", "slide of another scanner (through OpenSlide)", (".mrxs", ".vms", ".vmu", ".bif", ".czi"), _MAGIC,
    read_header, read_pixels, read_pixels, extra=EXTRA, keeps=frozenset({"spacing"}), pyramid=read_pyramid,
    masks=False,
)  # fmt: skip
