"""What a click on Compare asks for, the work it starts, and words for both."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path

from napari_medseg.core import ClassInfo, MedsegError, ModelCard, Reporter
from napari_medseg.models import find_model, is_start, read_card
from napari_medseg.training.candidates import CompareOptions, describe_little, lay_out
from napari_medseg.training.options import TrainOptions
from napari_medseg.training.recipe import Recipe, differing, differing_ways
from napari_medseg.training.standings import Comparison, Row

from .files_form import NO_FILES, ChosenFiles
from .look import count, words_for_seconds
from .options_form import OptionsForm
from .snapshot import Order, Snapshot, save_run


@dataclass(frozen=True)
class Common:
    """What all candidates learn from, and the options they do not differ in; see `Order`."""

    snapshots: tuple[Snapshot, ...]
    options: TrainOptions
    files: ChosenFiles = NO_FILES
    classes: tuple[str, ...] = ()
    merge: bool = False


class Shelf:
    """A folder for models that is removed with the last who knows of it: the dock, or the work of a closed one."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="napari-medseg-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def describe_plan(options: CompareOptions, slices: str) -> str:
    """What a click will do: how many candidates get how much time, round by round."""
    rounds = lay_out(len(options.candidates), options)
    parts = []
    for rung in rounds:
        who = count(rung.count, "candidate") if rung.number == 1 else f"the best {rung.count}"
        seeds = f" with {rung.seeds} seeds" if rung.seeds > 1 else ""
        parts.append(f"{who}{seeds}, {words_for_seconds(60 * rung.minutes)} each")
    return f"Ready to learn from {slices}: {'; then '.join(parts)}. {describe_little(rounds)}".rstrip()


def describe_end(result: Comparison) -> str:
    """Which was best, in one sentence, and what to do with it."""
    best, name = result.rows[0], result.names[0]
    stopped = "Stopped: of what was trained until then, " if result.stopped else ""
    if not best.measured:
        return "Nothing was held out, so nothing says which is best: label more slices."
    return (
        f"{stopped}{name} is best: {result.columns[0]} {best.dice_in_words}. Keep it, or select another in the table."
    )


def make_recipe(
    title: str, chosen: Row | CompareOptions, common: OptionsForm[TrainOptions], classes: tuple[str, ...], merge: bool
) -> Recipe:
    """The way of one candidate, or all that will be tried, of which a training takes the first.

    Raises
    ------
    InputError
        The form has a value that is not allowed.
    """
    way, compared = (chosen.way, {}) if isinstance(chosen, Row) else (chosen.candidates[0], differing_ways(chosen))
    options = differing(common.value(**way.settings))
    return Recipe(title=title, start=way.start, classes=classes, merge=merge, options=options, compare=compared)


def train_candidates(common: Common, options: CompareOptions, shelf: Shelf, report: Reporter) -> Comparison:
    """Save the slices, and compare on them."""
    from napari_medseg.training.comparison import compare

    cards: dict[str, ModelCard] = {}
    for start in options.starts:
        if not is_start(start):
            try:
                cards[start] = read_card(find_model(start))
            except MedsegError:
                continue  # the comparison says so
    neighbours = max([0, *(card.neighbours for card in cards.values())])
    fresh = ModelCard(name="comparison", classes=(ClassInfo.numbered(1),), neighbours=neighbours)
    normalisations = tuple(card.normalisation for card in cards.values())
    start = next(filter(is_start, options.starts), options.starts[0])
    order = Order(
        common.snapshots, fresh, start, fresh.name, common.options, normalisations=normalisations,
        files=common.files, classes=common.classes, merge=common.merge,
    )  # fmt: skip
    run = save_run(order, report)
    return compare(run, options, folder=run.folder, shelf=shelf.path, report=report)


def keep_model(row: Row, name: str, report: Reporter) -> ModelCard:
    """Take a candidate's model into the library."""
    from napari_medseg.training.comparison import adopt_candidate

    return adopt_candidate(row, name)
