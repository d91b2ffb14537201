"""A viewer without a window, models that only exist on paper, and work that waits to be told to go on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool

from napari_medseg.core import Cancelled, ClassInfo, Image, InputError, Labels, ModelCard, Progress, Reporter
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.inference.cost import Cost
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.training import TrainingRun, rounds
from napari_medseg.training.verdict import TrainingResult, Verdict
from napari_medseg.widgets import fine_tune, model_picker, segment
from napari_medseg.widgets.result_layer import result_layer
from napari_medseg.widgets.snapshot import Order

# The made-up files that the tests of io share, and what the tests of slides do.
sys.path[:0] = [str(Path(__file__).parents[1] / "io"), str(Path(__file__).parent)]

GREY = ModelCard(name="grey-bone", modality="CT", classes=(ClassInfo.numbered(1, "bone"),))
RGB = ModelCard(name="rgb-gland", channels=3, classes=(ClassInfo.numbered(1, "gland"),))


@pytest.fixture
def viewer(qtbot: Any) -> Iterator[ViewerModel]:
    model = ViewerModel()
    yield model
    model.layers.clear()
    assert QThreadPool.globalInstance().waitForDone(5000), "a worker thread is left"


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[ModelCard]:
    """What the library lists; change it in place."""
    library = [GREY, RGB]
    monkeypatch.setattr(model_picker, "read_cards", lambda: tuple(library))
    return library


@pytest.fixture
def make_stack(viewer: ViewerModel) -> Callable[..., Any]:
    """Adds a grey stack, half of each slice bright, 0.8 mm pixels."""

    def make(slices: int = 6, side: int = 24, **kwargs: Any) -> Any:
        data = np.zeros((slices, side, side), np.uint8)
        data[:, :, side // 2 :] = 200
        settings: dict[str, Any] = {"name": "femur ct", "scale": (3, 0.8, 0.8), "units": ("mm",) * 3}
        return viewer.add_image(data, **{**settings, **kwargs})

    return make


@dataclass
class Brake:
    """Work that segments by threshold and waits before slice ``at`` until released; fails at slice ``fail``.

    With ``doubtful`` slices, most doubtful first, it reports its doubt about every slice.
    """

    at: int | None = None
    fail: int | None = None
    doubtful: tuple[int, ...] = ()
    slices: list[int] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)

    def __call__(self, image: Image, card: ModelCard, options: Any, report: Reporter) -> Labels:
        from napari_medseg.inference import pick_slices

        chosen = pick_slices(options.slices, len(image))
        data = np.zeros(image.shape, np.uint8)
        report(Progress("Segmenting", 0, len(chosen), message="Loading the model"))
        for done, z in enumerate(chosen, 1):
            while self.at == done - 1 and not self.free.wait(0.01):
                report(Progress("Segmenting", done - 1, len(chosen)))
            if self.fail == z:
                raise IndexError("index 512 is out of bounds")
            data[z if image.is_stack else ...] = labels = (image.slice(z) > 100).astype(np.uint8)
            self.slices.append(z)
            region = (z,) if image.is_stack else ()
            report(Progress("Segmenting", done, len(chosen), "CPU, fp32", self._doubt(z), region, labels))
        return Labels(data, card.classes, image.geometry)

    def _doubt(self, z: int) -> dict[str, float]:
        if not self.doubtful:
            return {}
        doubt = 1 - 0.1 * self.doubtful.index(z) if z in self.doubtful else 0.1
        return {"border": doubt, "patch": doubt}


@pytest.fixture
def brake(monkeypatch: pytest.MonkeyPatch) -> Brake:
    made = Brake()
    monkeypatch.setattr(segment, "_segment", made)
    return made


@pytest.fixture
def corrected(viewer: ViewerModel, cards: list[ModelCard], make_stack: Callable[..., Any]) -> Any:
    """Labels a model made, two slices corrected, one accepted."""
    image = make_stack()
    labels = result_layer(viewer, image, cards[0], SegmentOptions())
    for z in range(6):
        corrections_of(labels).write(z, (image.data[z] > 100).astype(np.uint8))
    y, x = np.mgrid[:3, :4]
    for z in (1, 4):
        labels.data_setitem((np.full(y.size, z), y.ravel(), x.ravel()), 1)
    corrections_of(labels).accept(2)
    return labels


class Trainer:
    """Stands for a training: reports curves, waits, returns a new version; ``made`` says what else its card holds."""

    def __init__(self, cards: list[ModelCard]) -> None:
        self.cards = cards
        self.free = threading.Event()
        self.error: Exception | None = None
        self.seen: tuple[Any, ...] = ()
        self.preview: Any = None
        self.held_out: tuple[tuple[int, int], ...] = ()
        self.made: dict[str, Any] = {}
        self.verdict = Verdict(0.81, 0.93, on="2 held-out slices")

    def __call__(self, order: Order, preview: Any, report: Reporter) -> Any:
        self.seen = (order,)
        self.preview = preview
        if self.error is not None:
            raise self.error
        for step in range(1, 5):
            metrics = {"loss": 1 / step, "step": step, "dice": 0.8 + step / 50, "old_dice": 0.81}
            report(Progress("Training", step, 60, metrics=metrics))
        try:
            while not self.free.wait(0.01):
                report(Progress("Training", 4, 60))
        except Cancelled:
            pass  # the best so far is kept
        update = {"name": order.name, "version": 2, "parent": order.start, **self.made}
        new = order.card.model_copy(update=update)
        self.cards.append(new)
        return TrainingResult(new, self.verdict, "", (), self.held_out)


@pytest.fixture
def trainer(cards: list[ModelCard], monkeypatch: pytest.MonkeyPatch) -> Trainer:
    made = Trainer(cards)
    monkeypatch.setattr(fine_tune, "train_order", made)
    return made


class Trainings:
    """In the place of a comparison's: each start has its Dice; the ``hold_at``-th training waits until it is freed."""

    def __init__(self) -> None:
        self.dice = {"unet:resnet18": 0.6, "fpn:resnet18": 0.9, "unet:resnet34": 0.8}
        self.runs: list[TrainingRun] = []
        self.hold_at = 0
        self.free = threading.Event()

    def __call__(self, run: TrainingRun, report: Reporter, *, started: float, library: Path) -> TrainingResult:
        self.runs.append(run)
        if run.start not in self.dice:
            raise InputError(f"{run.start} does not fit.")
        dice = self.dice[run.start]
        for share in (0.5, 0.9):
            report(Progress("Training", metrics={"step": 1.0, "dice": share * dice}))
        while len(self.runs) == self.hold_at and not self.free.wait(0.01):
            report(Progress("Training", metrics={"step": 2.0, "dice": 0.9 * dice}))
        folder = library / "models" / "candidate" / "1"
        folder.mkdir(parents=True)
        card = ModelCard(name="candidate", version=1, classes=(ClassInfo.numbered(1),), sha256="0" * 64)
        (folder / "card.json").write_text(card.model_dump_json())
        for name in ("config.json", "model.safetensors"):
            (folder / name).write_text(run.start)
        return TrainingResult(card, Verdict(float("nan"), dice - run.options.seed / 100), "", ())


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    made = Trainings()
    monkeypatch.setattr(rounds, "train_apart", made)
    monkeypatch.setattr(rounds, "measure_cost", lambda *_: Cost(120.4, 560.2, 14_300_000))
    return made
