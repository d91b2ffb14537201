"""What TensorBoard shows of a run: figures of every step, held-out slices and the first kernels as pictures.

TensorBoard is loaded only when a run asks for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import nn

from napari_medseg.core import InputError, ModelCard, OutputError, spread
from napari_medseg.evaluation.panels import draw_panel

from .losses import IGNORE
from .options import TrainOptions
from .truth import LabelledSlice

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from .engine import Engine
    from .guard import HeldOut
    from .run import TrainingRun
    from .step import Job

SAMPLES = 4
"""Held-out slices that are drawn."""

KERNELS = 256
"""Kernels of the first layer that are drawn, at most."""

ENLARGED = 8
"""Pixels along each weight of a drawn kernel."""

PACE = 1.0
"""Seconds over which steps per second are counted, at least."""

Picture = npt.NDArray[np.uint8]


class Log:
    """Where figures and pictures of a run go; this class is nowhere."""

    def begin(self, step: int, network: nn.Module) -> None:
        """The run begins, or goes on after this many steps: what was logged of later ones does not count any more.

        Raises
        ------
        OutputError
            The folder cannot be written to.
        """

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """A step is done."""

    def validation(self, step: int, scores: HeldOut, network: nn.Module) -> None:
        """The held-out slices were scored with this network."""

    def end(self, step: int, network: nn.Module) -> None:
        """The last step is done."""

    def close(self) -> None:
        """Write what has not been written yet."""


def check_log(options: TrainOptions) -> None:
    """Refuse to log without TensorBoard, before anything is done.

    Raises
    ------
    InputError
        It is not installed.
    """
    if options.log_dir is not None and find_spec("tensorboard") is None:
        raise InputError(
            "Logging a training needs TensorBoard.", 'Install it with: pip install "napari-medseg[tensorboard]"'
        )


@contextmanager
def opened(run: TrainingRun, job: Job, card: ModelCard, say: Callable[[str], None]) -> Iterator[Log]:
    """The log of a run in its first process, closed at the end; in the others, and where none is asked for, nothing."""
    log = Board(run, job, card, say) if run.options.log_dir is not None and job.team.rank == 0 else Log()
    try:
        yield log
    finally:
        log.close()


class Board(Log):
    """Writes for TensorBoard, into the run's own folder below `TrainOptions.log_dir`.

    A disk that fails on the way ends the log and not the training.

    Parameters
    ----------
    say
        Told why nothing is logged any more.
    clock
        Seconds.
    """

    def __init__(
        self,
        run: TrainingRun,
        job: Job,
        card: ModelCard,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert run.options.log_dir is not None
        assert run.folder is not None
        self._run, self._job, self._card, self._say, self._clock = run, job, card, say, clock
        self._folder = run.options.log_dir / run.folder.name
        self._writer: SummaryWriter | None = None
        self._counted, self._since = 0, clock()

    def begin(self, step: int, network: nn.Module) -> None:
        from torch.utils.tensorboard import SummaryWriter

        try:
            # What an interrupted run did after its last checkpoint is done again.
            self._writer = SummaryWriter(self._folder, purge_step=step + 1 if step else 0)
        except OSError as error:
            raise OutputError(
                f"{self._folder} cannot be written: {error.strerror}.", "Choose another folder."
            ) from error
        self._counted, self._since = step, self._clock()
        if not step:
            self._do("add_text", "run", f"```\n{self._run.model_dump_json(indent=2)}\n```", 0)
            self._draw_kernels(0, network)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        for name in ("loss", "learning_rate"):
            if name in metrics and math.isfinite(metrics[name]):
                self._do("add_scalar", name, metrics[name], step)
        if self._clock() - self._since >= PACE:
            self._count(step)

    def validation(self, step: int, scores: HeldOut, network: nn.Module) -> None:
        figure = f"held-out {self._job.engine.figure}"
        named = {figure: scores.mean(), f"{figure}, remembered slices": scores.kept()}
        classes = self._job.classes
        if len(classes) > 1:
            named |= {f"{figure} of classes/{c.name}": d for c, d in zip(classes, scores.dice[1:], strict=True)}
        for name, value in named.items():
            if math.isfinite(value):
                self._do("add_scalar", name, value, step)
        self._draw_kernels(step, network)
        if self._job.engine.outlines:
            for one in pick(self._job.held_out):
                panel = draw_sample(one, self._card, self._job.engine, network)
                self._do("add_image", f"image, truth, prediction/{one.name}", panel, step, dataformats="HWC")

    def end(self, step: int, network: nn.Module) -> None:
        self._count(step)
        self._draw_kernels(step, network)

    def close(self) -> None:
        self._do("close")

    def _count(self, step: int) -> None:
        now = self._clock()
        if step > self._counted and now > self._since:
            self._do("add_scalar", "steps per second", (step - self._counted) / (now - self._since), step)
        self._counted, self._since = step, now

    def _draw_kernels(self, step: int, network: nn.Module) -> None:
        kernels = draw_kernels(network)
        if kernels is not None:
            self._do("add_image", "kernels of the first layer", kernels, step, dataformats="HWC")

    def _do(self, name: str, *arguments: Any, **more: Any) -> None:
        if self._writer is None:
            return
        try:
            getattr(self._writer, name)(*arguments, **more)
        except OSError as error:
            self._writer = None
            self._say(f"Nothing more is logged in {self._folder}: {error.strerror or error}.")


def pick(held_out: Sequence[LabelledSlice]) -> list[LabelledSlice]:
    """At most `SAMPLES` of today's held-out slices (else of the remembered ones), evenly spread, always the same."""
    own = [one for one in held_out if not one.remembered] or [*held_out]
    return spread(own, SAMPLES)


def draw_sample(one: LabelledSlice, card: ModelCard, engine: Engine, network: nn.Module) -> Picture:
    """Image, truth and prediction of a slice as the network sees it, RGB, shape (Y, 3 X + 8, 3)."""
    was_training = [module for module in network.modules() if module.training]
    network.eval()
    found = engine.predict(network, one.pixels, range(engine.outputs)).cpu().numpy()
    for module in was_training:
        module.training = True
    values = np.array([0, *(c.value for c in card.classes)])
    absent = one.target == IGNORE
    first = card.channels * card.neighbours
    pixels = np.moveaxis(one.pixels[first : first + card.channels].astype(np.float32), 0, -1)
    low, high = (float(v) for v in np.percentile(pixels, (0.5, 99.5)))
    truth = values[np.where(absent, 0, one.target)]
    return draw_panel(pixels, (truth, values[found]), card.classes, (low, max(high, low + 1e-6)), (absent, None))


def draw_kernels(network: nn.Module) -> Picture | None:
    """The kernels of the first layer as a grid, each from black to white, RGB; those over three channels in colour.

    None of a network without a convolution.
    """
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None:
        return None
    weights: npt.NDArray[np.float32] = first.weight.detach().float().cpu().numpy()
    # (N, Y, X, 1 or 3)
    tiles = np.moveaxis(weights, 1, -1) if weights.shape[1] == 3 else weights.reshape(-1, *weights.shape[2:], 1)
    tiles = tiles[:KERNELS]
    low, high = (edge(tiles, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    grey = ((tiles - low) / np.maximum(high - low, 1e-12) * 255).astype(np.uint8)
    large = np.broadcast_to(grey, (*grey.shape[:3], 3)).repeat(ENLARGED, 1).repeat(ENLARGED, 2)
    large = np.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0)))
    columns = math.ceil(math.sqrt(len(large)))
    rows = math.ceil(len(large) / columns)
    large = np.pad(large, ((0, rows * columns - len(large)), (0, 0), (0, 0), (0, 0)))
    height, width = large.shape[1:3]
    grid: Picture = large.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, -1, 3)
    return grid
