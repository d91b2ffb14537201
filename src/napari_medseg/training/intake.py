"""How a new network takes its images: what their channels are, which values become 0 and 1, and at which size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari_medseg.inference.neighbours import told_distance
from napari_medseg.inference.ranges import NORMALISATIONS
from napari_medseg.inference.sizes import FAR, input_shape, square_side
from napari_medseg.io.findings import alike
from napari_medseg.models import find_model, read_card
from napari_medseg.models.build import QUICK

from .channels import GREY, agree_on_names, find_channels
from .neighbours import about_choice
from .portion import LARGEST
from .presets import AUTO
from .resolution import LOOKS, MOST, choose_reduction, seen_shapes
from .run import TrainingRun
from .samples import WHOLE
from .start import Start, about_start
from .truth import Painted, prepare
from .watch import Watch


def settle_intake(run: TrainingRun, start: Start, painted: Sequence[Painted]) -> TrainingRun:
    """Decide channels, normalisation and reduction for a new network, where they are not chosen.

    Parameters
    ----------
    run
        With its portions settled: less time asks for smaller images.
    """
    options, card = run.options, start.card
    if start.parent is not None or card.architecture == QUICK:
        return run
    settled: dict[str, object] = {}
    some = painted[:: max(1, len(painted) // LOOKS)] if card.channels > 1 else ()
    seen = prepare(some, card, {}, lambda _: None)  # what is damaged is said when everything is read
    channels = find_channels(seen, card, options.channels) if seen else GREY
    if seen:
        settled["channels"] = channels.kind
    if options.normalisation == AUTO:
        settled["normalisation"] = "median" if channels.kind == "sequences" else "percentile"
    if not options.reduction and not options.longest:
        reduction = choose_reduction(painted, card, channels.is_picture, options.pixels or LARGEST)
        if card.presence is not None:  # slices must go through the network whole
            reduction = max(reduction, max(map(max, seen_shapes(painted, card))) / WHOLE)
        settled["reduction"] = min(reduction, MOST)
    return run.model_copy(update={"options": options.model_copy(update=settled)})


def take_in(run: TrainingRun, start: Start, painted: Sequence[Painted], watch: Watch) -> Start:
    """The start, of which a new network takes its images as was settled; what is not as one might expect is said."""
    images = list({id(one.image): one.image for one in painted}.values())
    for note in about_start(run, start, images):
        watch.say(note)
    names, said = agree_on_names(images, start.card)
    if said:
        watch.say(said)
    start = replace(start, card=start.card.model_copy(update={"channel_names": names}))
    if start.parent is None:
        start = _as_settled(run, start, painted, watch)
    for note in alike(finding for image in images for finding in input_shape(image, start.card)[1]):
        watch.say(note)
    return start


def note_origin(run: TrainingRun, start: Start, painted: Sequence[Painted]) -> Start:
    """The start, whose card says from which pixels and slices it learns, and those before it have: how large, how far
    apart; and no longer what took them, where that was not the same."""
    card, before = start.card, [start.parent] if start.parent else []
    if run.recall:
        before.append(read_card(find_model(run.recall)))
    known = [side for side in (square_side(one.image) for one in painted) if side is not None]
    known += [end for model in before for end in model.pixel_range or ()]
    changes: dict[str, object] = {"slice_distance": None}
    images = list({id(one.image): one.image for one in painted}.values())
    if {*(image.modality for image in images), *(model.modality for model in before)} - {"", card.modality}:
        changes["modality"] = ""
    if known and card.longest is None:
        changes["pixel_range"] = tuple(float(f"{end:.6g}") for end in (min(known), max(known)))
    if card.neighbours:
        apart = [None if image.geometry.positions else told_distance(image) for image in images if len(image) > 1]
        apart += [model.slice_distance for model in before if model.neighbours]
        told = sorted(distance for distance in apart if distance is not None)
        if told and len(told) == len(apart) and told[-1] <= FAR * told[0]:
            changes["slice_distance"] = float(f"{told[len(told) // 2]:.6g}")
    return replace(start, card=card.model_copy(update=changes))


def _as_settled(run: TrainingRun, start: Start, painted: Sequence[Painted], watch: Watch) -> Start:
    said = about_choice(run, painted, start.card.neighbours)
    if said and start.card.architecture != QUICK:
        watch.say(said)
    options, card = run.options, start.card
    if card.architecture == QUICK:
        return start
    method, low, high = NORMALISATIONS[options.normalisation].ends
    pictures = options.longest > 0 and all(len(one.image) == 1 for one in painted)
    ends = {"method": method, "low": low, "high": high, "each": pictures}
    values = card.normalisation.model_copy(update=ends)
    changes: dict[str, object] = {"normalisation": values}
    if options.reduction > 1:
        watch.say(f"The images are taken {options.reduction:.3g} times smaller, for more steps in the time.")
        changes["reduction"] = options.reduction
    return replace(start, card=card.model_copy(update=changes))
