"""Write the readers and writers of napari.yaml from the registries of formats.

    python scripts/manifest.py [--check]

A new format in ``io/formats/`` or ``io/annotations/`` needs this once. ``--check`` only says whether it is needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_medseg.io import FORMATS
from napari_medseg.io.outlines.registry import outline_formats

MANIFEST = Path(__file__).parents[1] / "napari.yaml"

_COMMANDS = "napari-medseg."


def readers() -> str:
    """Every suffix; a pattern matches the end of a name, so ``.ome.tif`` needs none beside ``.tif``."""
    suffixes = dict.fromkeys(s for f in (*FORMATS, *outline_formats()) for s in f.suffixes)
    ends = [s for s in suffixes if not any(s != other and s.endswith(other) for other in suffixes)]
    patterns = ", ".join(f'"*{s}"' for s in sorted(ends))
    return (
        "  readers:\n"
        f"    - command: {_COMMANDS}get_reader\n"
        f"      filename_patterns: [{patterns}]\n"
        "      accepts_directories: true\n"
    )


def writers() -> str:
    """Masks of each format that writes, outlines of labels and of shapes, and folders of masks."""
    # napari offers the first one first.
    forms = sorted((f for f in FORMATS if f.write), key=lambda f: (f.name != "tiff", f.title.casefold()))
    taken: set[str] = set()
    entries = []
    for form in forms:
        suffixes = [s for s in form.suffixes if s not in taken]
        taken.update(suffixes)
        if suffixes:
            entries.append(_writer("write_file", "labels", suffixes, f"Masks: {form.title}"))
    for command, kind, what in (
        ("write_file", "labels", "Borders"),
        ("write_outlines", "shapes", "Outlines"),
        ("write_outlines_on_image", 'image", "shapes', "Outlines on the image"),
    ):
        for outline in outline_formats():
            shared = {s for f in outline_formats() if f is not outline for s in f.suffixes}
            suffixes = [s for s in outline.suffixes if outline.default or s not in shared]
            if suffixes and (command != "write_file" or not taken.intersection(suffixes)):
                entries.append(_writer(command, kind, suffixes, f"{what}: {outline.title}"))
    entries += [
        _writer("write_folder", "labels", [], "Folder of PNG masks"),
        _writer("write_folders", "labels{2,1000}", [], "Folders of PNG masks"),
    ]
    both = _writer("write_folders", "image+", [], "Folders of PNG masks (labels only)")
    entries.append(both.replace('["image+"]', '["image+", "labels+"]'))
    return "  writers:\n" + "".join(entries)


def renewed(manifest: str) -> str:
    """The manifest with the readers and writers there should be."""
    start, end = manifest.index("  readers:\n"), manifest.index("  sample_data:\n")
    return manifest[:start] + readers() + writers() + manifest[end:]


def _writer(command: str, kind: str, suffixes: list[str], title: str) -> str:
    extensions = ", ".join(f'"{s}"' for s in suffixes)
    return (
        f"    - command: {_COMMANDS}{command}\n"
        f'      layer_types: ["{kind}"]\n'
        f"      filename_extensions: [{extensions}]\n"
        f'      display_name: "{title}"\n'
    )


def main() -> int:
    """Write the manifest, or with ``--check`` tell whether it is as it should be."""
    manifest = MANIFEST.read_text(encoding="utf-8")
    new = renewed(manifest)
    if "--check" in sys.argv[1:]:
        return int(new != manifest)
    MANIFEST.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
