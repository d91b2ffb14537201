"""Write ``docs/formats.md``: what each format of the registry reads, writes and keeps.

``python scripts/format_table.py`` writes it; a test compares it with the registry, and every tick has a test in
``tests/io/test_round_trip.py``.
"""

from __future__ import annotations

from pathlib import Path

from napari_medseg.io import FORMATS, Format
from napari_medseg.io.outlines.registry import OutlineFormat, outline_formats

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"

_HEAD = """# Formats

<!-- Made by scripts/format_table.py from the registry of formats: change that, not this file. -->

Images and masks. **✓** the file itself holds it; *beside* it goes into the small `….classes.json` that is written
beside the masks and read back with them; – it does not. A format is lazy when opening a file decodes nothing and
looking at a slice decodes that slice.

"""

_MIDDLE = """

Images have 1 to 16 channels. NIfTI, NRRD, MetaImage and NumPy files have them where they say that a voxel holds several
values; other volumes of one file are series to choose from, or channels with `--series all`, and channels that lie in
files of their own are joined ([Opening](files.md)).

Outlines. They are filled into masks of the image's size (a pixel belongs to an outline when its centre lies inside),
and traced from masks so that filling them again gives the same pixels.

"""

_FOOT = """

Where an image is turned, tilted or has slices at uneven distances, a format without that tick still gets the right
place back through the file beside it; other programs that read the masks alone do not see it.
"""

_KEPT = {
    "spacing": "Spacing", "orientation": "Orientation", "positions": "Each slice's position", "classes": "Class names",
    "colors": "Colours",
}  # fmt: skip


def page() -> str:
    """The whole page."""
    return _HEAD + _table(_pixel_rows()) + _MIDDLE + _table(_outline_rows()) + _FOOT


def _pixel_rows() -> list[list[str]]:
    rows = [["Format", "Names", "Images in", "Masks in", "Masks out", *_KEPT.values(), "Lazy"]]
    for one in FORMATS:
        rows.append([
            one.title, _names(one), _tick(one.images), _tick(one.masks), _tick(one.write is not None),
            *(_kept(one, what) for what in _KEPT), _LAZY[one.lazy],
        ])  # fmt: skip
    return rows


def _outline_rows() -> list[list[str]]:
    rows = [["Format", "Names", "In", "Out", "Several slices", "Class names", "Colours"]]
    for one in outline_formats():
        rows.append([
            one.title, _names(one), _tick(True), _tick(True), _tick(one.stacks), _tick("classes" in one.keeps),
            _tick("colors" in one.keeps),
        ])  # fmt: skip
    return rows


_LAZY = {"always": "✓", "unpacked": "unless compressed as a whole", "never": "–"}


def _kept(one: Format, what: str) -> str:
    if what in one.keeps:
        return "✓"
    return "beside" if one.write else "–"


def _names(one: Format | OutlineFormat) -> str:
    return " ".join(f"`{suffix}`" for suffix in one.suffixes)


def _tick(is_so: bool) -> str:
    return "✓" if is_so else "–"


def _table(rows: list[list[str]]) -> str:
    """A Markdown table; its first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
