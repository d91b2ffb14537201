"""How a new network takes its images: what their channels are, which values become 0 and 1, and at which size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari_medseg.inference.ranges import NORMALISATIONS
from napari_medseg.inference.sizes import input_shape
from napari_medseg.io.findings import alike
from napari_medseg.models.build import QUICK

from .channels import GREY, find_channels
from .neighbours import about_choice
from .portion import LARGEST
from .presets import AUTO
from .resolution import LOOKS, MOST, choose_reduction
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
        reduction = choose_reduction(painted, channels.is_picture, options.pixels or LARGEST)
        if card.presence is not None:  # slices must go through the network whole
            reduction = max(reduction, max(max(one.values.shape) for one in painted) / WHOLE)
        settled["reduction"] = min(reduction, MOST)
    return run.model_copy(update={"options": options.model_copy(update=settled)})


def take_in(run: TrainingRun, start: Start, painted: Sequence[Painted], watch: Watch) -> Start:
    """The start, of which a new network takes its images as was settled; what is not as one might expect is said."""
    images = list({id(one.image): one.image for one in painted}.values())
    for note in about_start(run, start, images):
        watch.say(note)
    if start.parent is None:
        start = _as_settled(run, start, painted, watch)
    sizes = (finding for image in images for finding in input_shape(image, start.card)[1])
    for note in alike(finding for finding in sizes if finding.code == "PIXEL_SIZE"):
        watch.say(note)
    return start


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
