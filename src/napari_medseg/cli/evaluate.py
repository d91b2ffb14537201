"""``napari-medseg evaluate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_medseg import io
from napari_medseg.core import InputError, Labels, OutputError
from napari_medseg.evaluation import evaluate_set, slice_key
from napari_medseg.evaluation.panels import draw_pairs, write_panels
from napari_medseg.evaluation.partners import laid_like
from napari_medseg.evaluation.parts import only_listed
from napari_medseg.evaluation.slides import is_slide, score_slide
from napari_medseg.io.atomic import write_text
from napari_medseg.io.findings import alike
from napari_medseg.io.masks.colors import find_legend
from napari_medseg.io.masks.large import check_whole, open_large
from napari_medseg.io.outlines.placing import holds_outlines
from napari_medseg.io.pairs.listing import Part, read_split

from .pairing import show_matches
from .sources import cases_in, is_set, patients_in, read_images, series_in
from .targets import check_target

Pairs = Sequence[tuple[Labels, Labels]]

_USUAL = "SINGLE_SLICE"


@dataclass(frozen=True)
class Scope:
    """Which slices are scored, and how."""

    merge: Annotated[bool, Parameter(help="Score all classes as one foreground.", negative=(), show_default=False)] = (
        False
    )
    split: Annotated[
        Path | None,
        Parameter(
            help="The split.csv that `train` wrote, or the folder of its run: only what is listed there for --part is "
            "scored.",
            show_default=False,
        ),
    ] = None
    part: Annotated[Part, Parameter(help="What the listed images were for.")] = "test"


@dataclass(frozen=True)
class Outputs:
    """What ``evaluate`` writes besides the table, and of which series."""

    report: Annotated[Path | None, Parameter(help="Write all figures, per slice and class, to this JSON file.")] = None
    panels: Annotated[Path | None, Parameter(help="Draw image, truth and prediction side by side here (PNG).")] = None
    image: Annotated[Path | None, Parameter(help="The image or series for --panels.")] = None
    series: Annotated[
        str,
        Parameter(
            help="Which series of a prediction, truth or image that holds several; 'all' of a file's.",
            show_default=False,
        ),
    ] = ""
    overwrite: Annotated[
        bool, Parameter(help="Replace an existing report and panels.", negative=(), show_default=False)
    ] = False


def evaluate(
    *,
    prediction: Annotated[
        Path, Parameter(help="Masks to score: a file or a folder, or a folder with one for each patient.")
    ],
    truth: Annotated[
        Path,
        Parameter(help="True masks: a file or a folder, or a folder with one for each patient; it may hold fewer."),
    ],
    scope: Annotated[Scope, Parameter(name="*")] = Scope(),
    segment_report: Annotated[
        Path | None,
        Parameter(
            help="The JSON file that segment --report wrote for this prediction: what the model said of slices is "
            "scored too (AUROC).",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        Parameter(
            help="List which masks are compared and which are not; score nothing.", negative=(), show_default=False
        ),
    ] = False,
    outputs: Annotated[Outputs, Parameter(name="*")] = Outputs(),
) -> int:
    """Compare masks with the truth: overlap and distance per class, with the worst slice.

    Slices are matched by file name where both have names. Slices without a result are listed, not scored as empty; a
    class that is in neither mask of a slice is left out there and counted. Masks of slides are compared in parts; above
    16384 x 16384 pixels without distances. Folders or volume files of equal names are patients: the report then has
    Dice and falsely found slices of each.

    **Example**

    ```
    napari-medseg evaluate --prediction masks/ --truth truth/ --report figures.json
    napari-medseg evaluate --prediction masks/ --truth truth/ --dry-run
    napari-medseg evaluate --prediction masks/ --truth truth/ --split RUN_FOLDER --panels panels/ --image images/
    ```
    """
    for target in (outputs.report, outputs.panels):
        if target is not None:
            sources = (prediction, truth, *([outputs.image] if outputs.image else []))
            check_target(target, *sources, overwrite=outputs.overwrite)
    if (outputs.panels is None) != (outputs.image is None):
        raise InputError("Panels need both --panels FOLDER and --image IMAGE.", "Give both or none.")
    if outputs.panels is not None and outputs.panels.exists() and not outputs.panels.is_dir():
        raise OutputError(f"{outputs.panels} is a file, not a folder.", "Choose a folder for the panels.")
    pairs = read_pairs(prediction, truth, outputs.series)
    if scope.split is not None:
        pairs = only_listed(pairs, [row for row in read_split(scope.split) if row.part == scope.part])
    told = {(f.message, f.files): f for pair in pairs for labels in pair for f in labels.findings if f.code != _USUAL}
    for line in alike(told.values()):
        print(line, file=sys.stderr)
    if dry_run:
        return show_matches(pairs, left_over(prediction, truth))
    if segment_report is not None:
        if patients_in(prediction):
            raise InputError(
                "--segment-report is for one series.", "Leave it out: masks that segment wrote keep what it tells."
            )
        pairs = with_presence(pairs, segment_report)
    slide = len(pairs) == 1 and any(is_slide(labels) for labels in pairs[0])
    if slide and outputs.panels is not None:
        check_whole(pairs[0][0], "A panel", "Leave out --panels; look at both in the window.")
    result = score_slide(*pairs[0], merge=scope.merge) if slide else evaluate_set(pairs, merge=scope.merge)
    print(result.table())
    if outputs.report is not None:
        write_text(outputs.report, result.to_json())
    if outputs.panels is not None and outputs.image is not None:
        count = _draw(outputs.panels, outputs.image, pairs, outputs.series)
        print(f"Drew {count} panels into {outputs.panels}")
    return 0


def _draw(panels: Path, image: Path, pairs: Pairs, series: str) -> int:
    """Draw panels, of patients each into a folder of its own, and return how many."""
    if not patients_in(image):
        return write_panels(panels, draw_pairs(read_images(image, series), pairs))
    images, count = cases_in(image), 0
    for prediction, truth in pairs:
        source = truth.source or Path()
        name = source.name if source.is_dir() else slice_key(source.name)
        if name not in images:
            raise InputError(f"{image} holds no folder {name}.", "Give the images of these masks.")
        own = read_images(images[name], series)
        count += write_panels(panels / name, draw_pairs(own, [(prediction, truth)]))
    return count


def read_pairs(prediction: Path, truth: Path, series: str = "") -> Pairs:
    """Both sides as one pair, or one pair for each name when they are patients or images of different sizes.

    Raises
    ------
    InputError
        When one of them cannot be read or nothing matches.
    """
    if not _several(prediction, truth):
        chosen = [
            (None if series else open_large(side)) or io.read_labels(side, series=series_in(side, series))
            for side in (prediction, truth)
        ]
        return [(laid_like(chosen[0], chosen[1]), chosen[1])]
    ours, theirs = cases_in(prediction), cases_in(truth)
    common = [key for key in theirs if key in ours]
    if not common:
        raise InputError(
            f"No mask of {prediction} has a name of {truth}.", "Name the masks as the images they belong to."
        )
    # Colours mean the same classes in all masks of a side.
    (our_legend, told), (their_legend, more) = (find_legend(_mask_files(side.values())) for side in (ours, theirs))
    for finding in dict.fromkeys((*told, *more)):
        print(finding.message, file=sys.stderr)
    pairs, lost = [], []
    for key in common:
        try:
            both = (ours[key], our_legend), (theirs[key], their_legend)
            mine, right = (io.read_labels(p, legend=one, series=series_in(p, series)) for p, one in both)
            pairs.append((mine, right))
        except InputError as error:
            lost.append(error)
    if not pairs:
        raise lost[0]
    for one in lost:
        print(f"Not scored: {one.message}", file=sys.stderr)
    return pairs


def with_presence(pairs: Pairs, report: Path) -> Pairs:
    """The same pairs, the predictions with the probabilities of slices that a run of ``segment`` noted by name.

    Raises
    ------
    InputError
        The file is no such report, or tells nothing of these slices.
    """
    try:
        record = json.loads(report.read_bytes())
        said = {slice_key(name): float(chance) for name, chance in record["presence"].items()}
        threshold, outlined = float(record["threshold"] or 0.0), bool(record["outlined"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{report} is no report of segment.", "Give the file that segment --report wrote.") from error
    found = []
    for prediction, truth in pairs:
        names = prediction.names or tuple(str(z) for z in range(len(prediction)))
        chances = {z: said[key] for z, name in enumerate(names) if (key := slice_key(name)) in said}
        found.append((replace(prediction, presence=chances, threshold=threshold, outlined=outlined), truth))
    if not any(prediction.presence for prediction, _ in found):
        raise InputError(
            f"{report} tells nothing of the prediction's slices.", "Only a model with a slice head says something."
        )
    return found


def _several(prediction: Path, truth: Path) -> bool:
    """Whether there is more than one image on a side."""
    return any(patients_in(side) or is_set(side) for side in (prediction, truth))


def _mask_files(cases: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for path in cases:
        found = io.inspect(path) if path.is_dir() and not holds_outlines(path) else None
        files += (found.masks or found.files) if found else [path]
    return files


def left_over(prediction: Path, truth: Path) -> list[str]:
    """Names of the masks of sets of images that only one side has."""
    if not _several(prediction, truth):
        return []
    ours, theirs = cases_in(prediction), cases_in(truth)
    return [side[key].name for side, other in ((ours, theirs), (theirs, ours)) for key in side if key not in other]
