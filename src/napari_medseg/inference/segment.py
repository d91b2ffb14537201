"""Image and model in, labels out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_medseg.core import Finding, Image, InputError, Labels, ModelCard, Progress, Reporter, one_sentence, silent
from napari_medseg.io.budget import half_free, in_gib
from napari_medseg.io.findings import counted
from napari_medseg.models import Model, load_model

from .neighbours import about_neighbours
from .normalise import SliceReader
from .options import SegmentOptions, pick_slices
from .ranges import has_own_ranges, is_flat, measure_range
from .suits import check_channels

if TYPE_CHECKING:
    from .stack import ProbabilityTaker, StackRun


NO_ROOM = "Probabilities cannot be kept of slides.", "Segment a part of it as an image of its own."


class ProbabilityStack:
    """Collects the probabilities of a run: give it to `segment` as ``probabilities``.

    Raises
    ------
    InputError
        The image is a slide, or they would take more than half of the free memory.

    Attributes
    ----------
    data
        float16, (classes, Z, Y, X) or (classes, Y, X), in the order of the card's classes, background left out;
        NaN where nothing was computed.
    """

    def __init__(self, image: Image, card: ModelCard) -> None:
        if image.levels:
            raise InputError(*NO_ROOM)
        need, room = 2 * len(card.classes) * math.prod(image.shape), half_free()
        if need > room:
            raise InputError(
                f"The probabilities of {counted(len(card.classes), 'class')} in {counted(len(image), 'slice')} take "
                f"{in_gib(need)} of memory; {in_gib(room)} are allowed here.",
                "Leave them out, or open fewer slices.",
            )
        self._is_stack = image.is_stack
        self.data = np.full((len(card.classes), *image.shape), np.nan, dtype=np.float16)

    def __call__(self, z: int, probabilities: np.typing.NDArray[np.float16]) -> None:
        self.data[:, z if self._is_stack else ...] = probabilities


def segment(
    image: Image,
    model: str | Path | Model,
    options: SegmentOptions | None = None,
    *,
    report: Reporter = silent,
    probabilities: ProbabilityTaker | None = None,
    labelled: Collection[int] = (),
    **settings: Any,
) -> Labels:
    """Segment an image slice by slice.

    Parameters
    ----------
    image
        A single image or a stack; it may be lazy, each slice is read when its turn comes.
    model
        Name in the library, ``name@version``, a folder, or a model already loaded.
    options
        The settings; None means the defaults.
    report
        Told of every finished slice (``region`` its index, ``result`` its labels) and often in between; may raise
        `Cancelled`, which comes out of this function at once.
    probabilities
        Called with the index of each finished slice and float16 probabilities (classes, Y, X), such as a
        `ProbabilityStack`.
    labelled
        Slices that are right already (painted or checked): never suggested for a look, nor those beside them.
    **settings
        Single fields of `SegmentOptions`, in place of those in ``options``; of an image with levels, those of
        `SlideJob` too (``output``, ``resume``, ``inside`` …), of others ``settled``: what an earlier run over the same
        image reported (`Progress.settled`), to go on with it on the same kind of device.

    Returns
    -------
    Labels
        Values are those of the card's classes; uint8, or wider where a class value needs it. ``missing`` holds the
        slices without a result: missing in the image, unreadable, or outside of the chosen slices. ``look_at`` holds as
        many slices as `SegmentOptions.suggest` asks for, ``look_in`` as many squares of a large single image.

    Raises
    ------
    InputError
        A setting is wrong, or not one of the chosen slices can be read.
    ModelError
        The model cannot be loaded or does not fit the image.
    ComputeError
        The work failed even in the smallest portions.
    """
    if image.levels:
        return _segment_slide(image, model, options, report, probabilities, settings)
    settled = settings.pop("settled", None)
    chosen_options = _merge(options, settings)
    chosen = pick_slices(chosen_options.slices, len(image))
    report(Progress("Segmenting", 0, len(chosen), message="Loading the model"))
    loaded = load_model(model)
    card, network = loaded.card, loaded.network
    check_channels(image, card)
    value_range = measure_range(image, card.normalisation)

    from .device import release_memory
    from .runner import Predictor
    from .stack import StackRun

    reader = SliceReader(image, card, value_range, raw=True)
    was_training = network.training
    done = [0]

    def tell(progress: Progress) -> None:
        done[0] = progress.done
        report(progress)

    def beat() -> None:
        report(Progress("Segmenting", done[0], len(chosen), message=predictor.message))

    again = _to_go_on(settled or {}, chosen_options)
    predictor = Predictor(card, network, chosen_options, reader.shape, beat, again)
    if not has_own_ranges(image, card):
        predictor.take_raw(value_range)
    try:
        run = StackRun(image, card, chosen_options, reader, predictor, tell, probabilities)
        run(chosen)
    finally:
        network.train(was_training)
        release_memory()
    findings = about_neighbours(image, card)
    if is_flat(value_range):
        findings = (_constant(image), *findings)
    if image.channels == 1 < card.channels:
        text = f"All {card.channels} channels of the image are alike; the model got them so."
        findings += (Finding("ALIKE_CHANNELS", text),)
    return _labels(run, chosen, findings, labelled)


def _segment_slide(
    image: Image,
    model: str | Path | Model,
    options: SegmentOptions | None,
    report: Reporter,
    probabilities: ProbabilityTaker | None,
    settings: dict[str, Any],
) -> Labels:
    from .slides.job import SlideJob
    from .slides.segment import segment_slide

    if probabilities is not None:
        raise InputError(*NO_ROOM)
    job = {name: value for name, value in settings.items() if name in SlideJob.__annotations__}
    chosen = _merge(options, {k: v for k, v in settings.items() if k not in job})
    return segment_slide(image, model, chosen, report=report, **job)


def _to_go_on(settled: Mapping[str, Any], options: SegmentOptions) -> dict[str, Any]:
    """What of an earlier run's settings this one takes: nothing on another kind of device, nor what it is told anew."""
    from .device import pick_device

    if settled.get("device") != pick_device(options.device).type:
        return {}
    names = ("precision", "tile", "batch") if options.batch == "auto" else ("precision", "tile")
    return {name: settled[name] for name in names if settled.get(name)}


def _merge(options: SegmentOptions | None, settings: dict[str, Any]) -> SegmentOptions:
    try:
        return SegmentOptions(**{**(options or SegmentOptions()).model_dump(), **settings})
    except ValidationError as error:
        raise one_sentence(error) from error


def _constant(image: Image) -> Finding:
    name = image.source.name if image.source else "The image"
    return Finding("CONSTANT_IMAGE", f"{name} has the same value everywhere; its labels mean nothing.")


def _labels(run: StackRun, chosen: range, findings: tuple[Finding, ...], labelled: Collection[int]) -> Labels:
    # Here and not above: scoring knows readers of all kinds, which take a while to load.
    from napari_medseg.evaluation.suggest import suggest_slices

    image = run.image
    computed = set(chosen) - run.unreadable.keys() - image.missing
    if not computed:
        reason = next(iter(run.unreadable.values()), "They are missing in the image.")
        raise InputError(f"None of the {len(chosen)} chosen slices can be read. {reason}", "Open the image again.")
    return Labels(
        data=run.data,
        classes=run.card.classes,
        geometry=image.geometry,
        names=image.names,
        source=image.source,
        findings=(*image.findings, *findings, *run.findings, *_not_found(run, computed)),
        missing=frozenset(range(len(image))) - computed,
        look_at=suggest_slices(run.figures, run.options.suggest, labelled),
        look_in=run.squares,
        presence=run.presence,
        threshold=run.card.presence or 0.0,
        outlined=run.card.outlines,
    )


def _not_found(run: StackRun, computed: Collection[int]) -> list[Finding]:
    """A class that is nowhere in a stack, told to those who ask what to look at: no slice can point to it."""
    if not run.options.suggest or len(computed) < 2 or not run.card.outlines:
        return []
    names = [c.name for c in run.card.classes if not any((run.data[z] == c.value).any() for z in computed)]
    if not names:
        return []
    return [Finding("CLASS_NOT_FOUND", f"Found in none of the {len(computed)} slices: {', '.join(names)}.")]
