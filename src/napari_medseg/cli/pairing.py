"""``--dry-run``: what would be paired, what not, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from napari_medseg.core import InputError, Labels, Reporter
from napari_medseg.evaluation import match_slices
from napari_medseg.io.masks.legend import Legend
from napari_medseg.io.pairs.preview import preview_pairs
from napari_medseg.models import find_model, is_start, read_card
from napari_medseg.training import TrainingRun
from napari_medseg.training.classes import about_absent
from napari_medseg.training.naming import is_background, merged_class, merged_in_words
from napari_medseg.training.run import name_merged


def show_pairs(run: TrainingRun, report: Reporter) -> int:
    """Print the pairs of a training run.

    Raises
    ------
    InputError
        When nothing could be trained on.
    """
    run.check_paths()
    if run.merge:
        run = name_merged(run, () if is_start(run.start) else read_card(find_model(run.start)).classes)
    merged = merged_class(run.classes) if run.merge else None
    legend = Legend(classes=run.classes, background=run.background_colors) if run.background_colors else None
    seen: set[int] = set()
    for title, pairs in (("Trains", run.pairs), ("Only measures", run.validation_pairs)):
        usable = 0
        for pair in pairs:
            found = preview_pairs(pair.image, pair.labels, series=pair.series, legend=legend, report=report)
            print(f"{title}: {pair.image} and {pair.labels}")
            print("\n".join(found.named(run.classes, merged).lines()))
            if merged:
                apart = {c.value for row in found.usable for c in row.classes if not is_background(c)}
                kept = {run.options.unlabelled, *(c.value for c in run.classes if is_background(c))}
                print(merged_in_words(apart - kept, merged))
            usable += len(found.usable)
            seen |= {c.value for row in found.usable for c in row.classes}
        if pairs and not usable:
            raise InputError("None of these pairs can be used.", "The reasons are listed above.")
    if not merged and (absent := about_absent(run.classes, seen)):
        print("\n".join(absent))
    print("Nothing was trained (--dry-run).")
    return 0


def check_starts(starts: Iterable[str]) -> None:
    """Refuse to start from what is neither a model nor the name of a network.

    Raises
    ------
    ModelError
        There is none of that name.
    """
    from napari_medseg.training.start import find_start

    for start in starts:
        find_start(start)


def show_matches(pairs: Sequence[tuple[Labels, Labels]], left_over: Sequence[str] = ()) -> int:
    """Print which slices of prediction and truth would be compared, and which have no partner."""
    for prediction, truth in pairs:
        matches, alone = match_slices(prediction, truth)
        for p, t, name in matches:
            lost = p in prediction.missing or t in truth.missing
            ours = prediction.names[p] if prediction.names else f"slice {p}"
            theirs = truth.names[t] if truth.names else name
            print(f"  {ours} — {theirs}{': no result, not scored' if lost else ''}")
        for name in alone:
            print(f"  {name}: without partner")
    for name in left_over:
        print(f"  {name}: without partner")
    print("Nothing was scored (--dry-run).")
    return 0
