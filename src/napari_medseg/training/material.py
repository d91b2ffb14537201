"""What a run learns from and what it is measured by: today's slices, and those its start remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_medseg.core import InputError, MedsegError
from napari_medseg.io.findings import counted, some_of
from napari_medseg.io.pairs.listing import PARTS, Listed
from napari_medseg.models import find_model
from napari_medseg.models.adapt import match_classes

from .classes import are_sides, background_values
from .gather import find_reading, gather
from .memory import EMPTY, Archive, Memory, read_archive
from .run import TrainingRun
from .set_aside import set_aside
from .split import NOTHING, Past, hold_out
from .start import Start
from .truth import LabelledSlice, Painted, prepare
from .watch import Watch


@dataclass(frozen=True)
class Parts:
    """What the slices of a run are for; one with strokes may both train and measure.

    Attributes
    ----------
    training, held_out
        What there is to learn, and what measures on the way.
    test
        What measures once at the end, and nothing else.
    """

    training: list[Painted]
    held_out: list[Painted]
    test: list[Painted]

    def __iter__(self) -> Iterator[Painted]:
        yield from (*self.training, *self.held_out, *self.test)

    def listed(self) -> list[Listed]:
        """The slices by file, for ``split.csv``."""
        rows = []
        for part, slices in zip(PARTS, (self.training, self.held_out, self.test), strict=True):
            for one in slices:
                source, names = one.image.source or Path(one.name), one.image.names
                inside = bool(names) and source.name != names[one.z]
                file = source / names[one.z] if inside else source
                rows.append(Listed(part, file, one.z if one.image.is_stack and not names else None, one.group))
        return rows


@dataclass(frozen=True)
class Material:
    """Slices ready for the network.

    Attributes
    ----------
    training
        What there is to learn.
    replay
        What was learnt earlier, of which a share of the samples is taken.
    held_out
        What only measures.
    test
        What measures once at the end.
    """

    training: list[LabelledSlice]
    replay: tuple[LabelledSlice, ...]
    held_out: list[LabelledSlice]
    test: list[LabelledSlice]


def find_archive(reference: str | Path, watch: Watch) -> tuple[Archive, Past]:
    """What a model remembers; nothing, and that it is said, when its memory cannot be used."""
    try:
        archive = read_archive(find_model(reference))
        return archive, archive.past
    except MedsegError as error:
        watch.say(f"{error.message} Trains on without it.")
        return EMPTY, NOTHING


def split(run: TrainingRun, past: Past, watch: Watch, *, empty: bool = False) -> Parts:
    """Snapshots of the slices that train, of those that measure and of those that are set aside for the test.

    With ``empty``, slices without any class measure, too.

    Raises
    ------
    InputError
        A test is asked for, and nothing can be set aside.
    """
    options = run.options
    reading = find_reading(run, watch)
    everything = gather(run.pairs, options, watch, reading)
    painted, test, note = set_aside(everything, options.test, past)
    if note:
        watch.say(note)
    if run.validation_pairs:
        measuring = gather(run.validation_pairs, options.model_copy(update={"group": ""}), watch, reading)
        known = {one.identity for one in painted} - {""}
        if again := sum(one.identity in known for one in measuring):
            watch.say(f"{again} of {len(measuring)} images that only measure train, too: their Dice flatters.")
        return Parts(painted, [replace(one, pair=-1) for one in measuring], test)
    ground = background_values(painted, run.classes)
    # Both are shares of all there is.
    share = options.validation * len(everything) / len(painted)
    training, held_out, note = hold_out(painted, share, ground, past, empty=empty)
    if note:
        watch.say(note)
    elif held_out:
        both = {one.identity for one in training} & {one.identity for one in held_out}
        names = some_of([one.name for one in held_out], 5)
        if both:
            watch.say(f"Trains on {counted(len(training), 'slice')}; some strokes only measure, in {names}.")
        else:
            rest = "1 only measures" if len(held_out) == 1 else f"{len(held_out)} only measure"
            watch.say(f"Trains on {counted(len(training), 'slice')}; {rest}: {names}.")
    return Parts(training, held_out, test)


def strangers(held_out: Sequence[Painted], index: dict[int, int]) -> list[str]:
    """What to say about classes that are held out but nowhere to be learnt."""
    values = {v for one in held_out for v in one.shown} - {*index}
    return [
        f"Mask value {v} is only in held-out slices: it cannot be learnt and does not count." for v in sorted(values)
    ]


def make_ready(run: TrainingRun, start: Start, parts: Parts, index: dict[int, int], watch: Watch) -> Material:
    """Prepare today's slices and recall the others.

    Raises
    ------
    InputError
        No slice that shows a class can be read.
    """
    training, held_out, test = (
        prepare(part, start.card, index, watch.say) for part in (parts.training, parts.held_out, parts.test)
    )
    if not any(one.present - {0} for one in training):
        raise InputError("No class is painted in the slices that can be read.", "Copy the damaged files again.")
    memory = _recall(start, watch)
    replay = memory.training
    if run.recall:
        # What the start learnt from in its own training is replayed; what was painted since is what there is to learn.
        own = find_archive(run.start, watch)[0].identities if start.parent else frozenset()
        replay = tuple(one for one in memory.training if one.identity in own)
        again = [one for one in memory.training if one.identity not in own]
        training += again
        watch.say(f"What {run.recall} remembers trains too: {count_slices(again)}.")
    if run.options.replay == 0:
        replay = ()
    if replay:
        watch.say(
            f"{run.options.replay:.0%} of the samples come from {count_slices(replay)} the start model remembers."
        )
    if memory.held_out and run.options.validation and not run.validation_pairs:
        held_out += memory.held_out
        watch.say(f"What the start model remembers measures too: {count_slices(memory.held_out)}.")
    return Material(training, replay, held_out, test)


def count_slices(slices: Sequence[LabelledSlice]) -> str:
    """How many slices, in words."""
    return counted(len(slices), "slice")


def _recall(start: Start, watch: Watch) -> Memory:
    archive = start.archive
    try:
        memory = archive.recall(start.card.classes, start.card.in_channels)
    except MedsegError as error:
        watch.say(f"{error.message} Trains on without what the start model remembers.")
        return Memory()
    if archive.slices and not memory.training and not memory.held_out:
        watch.say("What the start model remembers has other classes or channels and is not used.")
    return memory


def why_sides(start: Start, material: Material) -> str:
    """Why images must not be mirrored; empty when they may be."""
    parent = start.parent
    if parent is not None and parent.sides:
        rows = [row for row in match_classes(parent.classes, start.card.classes) if row]
        if rows and all(len(row) == 1 for row in rows):
            return f"the classes of {parent.reference} are sides"
    return are_sides(start.card.classes, [one.places() for one in (*material.training, *material.replay)])
