"""``napari-medseg convert``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_medseg import io
from napari_medseg.core import Finding, Image, InputError, Labels
from napari_medseg.io.findings import counted
from napari_medseg.io.masks.large import open_large, without_absent
from napari_medseg.io.masks.onto import lay_onto, lies_elsewhere
from napari_medseg.io.outlines.placing import OutlineUnit, holds_outlines, read_outline_labels
from napari_medseg.io.outlines.writing import write_outline_labels

from .targets import check_size, check_target


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """What IN is."""

    series: Annotated[str | None, Parameter(help="Which series or image of an IN that holds several.")] = None
    unit: Annotated[OutlineUnit, Parameter(help="What coordinates of outlines count in; um and mm need --image.")] = (
        "pixel"
    )


def convert(
    source: Annotated[Path, Parameter(name="IN", help="Masks or outlines: a file or a folder.")],
    output: Annotated[
        Path, Parameter(name="OUT", help="A folder for PNG masks, or a file whose suffix names the format.")
    ],
    /,
    *,
    image: Annotated[
        Path | None, Parameter(help="Take size of outlines, pixel size, position and slice names from this image.")
    ] = None,
    format: Annotated[  # the name of the flag
        str | None, Parameter(help="Outlines in this format (geojson, asap …); into a folder, one file per slice.")
    ] = None,
    reading: Reading | None = None,
    overwrite: Annotated[bool, Parameter(help="Replace an existing output.", negative=(), show_default=False)] = False,
) -> int:
    """Convert masks and outlines between formats.

    **Example**

    ```
    napari-medseg convert outlines.xml masks.tif --image slide.tif
    napari-medseg convert slide-labels.ome.zarr slide-labels.ome.tif    # of any size, in little memory
    ```
    """
    check_target(output, source, *([image] if image else []), overwrite=overwrite)
    labels = _read(source, io.read(image) if image else None, reading or Reading())
    check_size(labels, output)
    labels = without_absent(labels)
    told: tuple[Finding, ...] = ()
    if format is None:
        told = io.write(output, labels, overwrite=overwrite)
    else:
        write_outline_labels(output, labels, overwrite=overwrite, name=format)
    for finding in (*labels.findings, *told):
        print(finding.message)
    written = len(labels) - (len(labels.missing) if output.is_dir() else 0)
    print(f"Wrote {counted(written, 'slice')} to {output}")
    return 0


def _read(source: Path, image: Image | None, reading: Reading) -> Labels:
    """Labels on the slices of the image that they belong to."""
    if holds_outlines(source):
        return read_outline_labels(source, image=image, series=reading.series, unit=reading.unit)
    labels = (None if reading.series else open_large(source)) or io.read_labels(source, series=reading.series)
    if image is None:
        return labels
    if lies_elsewhere(labels, image):
        labels = lay_onto(labels, image)
    if image.shape != tuple(labels.data.shape):
        raise InputError(
            f"{source} has the shape {_size(labels.data.shape)} and {image.source} has {_size(image.shape)}.",
            "Give the image that these masks were drawn on.",
        )
    return replace(labels, geometry=image.geometry, names=image.names or labels.names, source=image.source)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
