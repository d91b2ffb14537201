"""``napari-medseg convert``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_medseg import io
from napari_medseg.core import InputError
from napari_medseg.io.findings import counted

from .targets import check_target


def convert(
    source: Annotated[Path, Parameter(name="IN", help="Masks: a file or a folder.")],
    output: Annotated[
        Path, Parameter(name="OUT", help="A folder for PNG masks, or a file whose suffix names the format.")
    ],
    /,
    *,
    image: Annotated[Path | None, Parameter(help="Take pixel size, position and slice names from this image.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace an existing output.", negative=(), show_default=False)] = False,
) -> int:
    """Convert masks between formats.

    **Example**

    ```
    napari-medseg convert masks/ masks.tif --image ct-slices/
    ```
    """
    check_target(output, source, *([image] if image else []), overwrite=overwrite)
    labels = io.read_labels(source)
    if image is not None:
        belongs = io.read(image)
        if belongs.shape != tuple(labels.data.shape):
            raise InputError(
                f"{source} has the shape {_size(labels.data.shape)} and {image} has {_size(belongs.shape)}.",
                "Give the image that these masks were drawn on.",
            )
        labels = replace(labels, geometry=belongs.geometry, names=belongs.names or labels.names)
    io.write(output, labels, overwrite=overwrite)
    for finding in labels.findings:
        print(finding.message)
    written = len(labels) - (len(labels.missing) if output.is_dir() else 0)
    print(f"Wrote {counted(written, 'slice')} to {output}")
    return 0


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
