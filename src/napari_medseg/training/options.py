"""Every number a person can turn for a training run, with its default, bounds and help; loads no torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from napari_medseg.core import Choice, Mark, Options
from napari_medseg.inference.options import PRECISIONS, Device, list_devices
from napari_medseg.inference.ranges import NORMALISATIONS

from .channels import KINDS
from .losses import LOSSES
from .optimisers import OPTIMISERS
from .presets import AUGMENTATIONS, AUTO
from .schedule import SCHEDULERS

MOST_HELD_OUT = 0.8
"""Share of the images that may be held out and set aside for the test together."""

SMALLEST_SIDE = 32
"""Pixels; a network that halves its images five times needs as many."""

Rate = Annotated[float, Field(ge=0, le=0.1)]
Decay = Annotated[float, Field(ge=0, le=1)]
Batch = Annotated[int, Field(ge=0, le=1024)]


class TrainOptions(Options):
    """Settings of one training run."""

    max_minutes: Annotated[float | None, Mark.FREE, Mark.ELSEWHERE, Mark.FIXED] = Field(
        None,
        title="Minutes",
        description="Time for the whole run; without minutes and steps, 1 minute on a CPU and 20 s on a GPU",
        gt=0,
        le=10_000,
    )
    max_steps: Annotated[int | None, Mark.FREE, Mark.FIXED] = Field(
        None,
        title="Steps",
        description="Number of training steps; without minutes, the same seed then gives the same weights",
        ge=1,
        le=10_000_000,
    )
    seed: Annotated[int, Mark.SHARED] = Field(
        0, title="Seed", description="Start of the random numbers", ge=0, le=2**31 - 1
    )
    augmentation: Annotated[str, Choice((AUTO, *AUGMENTATIONS))] = Field(
        AUTO,
        title="Augmentation",
        description="How strongly the training images are varied; auto: lightly as long as a new network has hardly "
        "seen them, else medium",
    )
    loss: Annotated[str, Choice(LOSSES)] = Field(
        "dice-ce", title="Loss", description="What the training minimises; unlabelled pixels never count"
    )
    device: Annotated[Device, Mark.OWN, Mark.SHARED] = Field(
        "auto", title="Device", description="auto, cpu, cuda, cuda:N or mps", examples=list_devices()
    )
    precision: Annotated[str, Choice(PRECISIONS), Mark.FREE] = Field(
        "auto",
        title="Precision",
        description="Number format of the network's arithmetic; auto takes the fastest that is stable",
    )
    batch: Batch = Field(
        0, title="Batch", description="Samples in one step; 0 chooses by their size and the pixels of a step"
    )
    pixels: int = Field(
        0,
        title="Pixels of a step",
        description="What the batch is chosen to hold together; 0 chooses by device and time, so that there are enough "
        "steps",
        ge=0,
        le=2**28,
    )
    crop: int = Field(
        0,
        title="Crop",
        description="Side of the training samples in pixels; 0 takes whole slices up to 512 and crops of larger ones",
        ge=0,
        le=4096,
    )
    reduction: float = Field(
        0.0,
        title="Reduction",
        description="How many times smaller the images are taken by a network that starts from random weights; "
        "0 chooses by what is painted and the time there is",
        ge=0,
        le=8,
    )
    longest: int = Field(
        0,
        title="Longer side",
        description="A network that starts from random weights takes its images with a longer side of so many pixels, "
        "whatever their size: for whole pictures without a scale, such as X-rays; 0 keeps their scale",
        ge=0,
        le=4096,
    )
    normalisation: Annotated[str, Choice((AUTO, *NORMALISATIONS))] = Field(
        AUTO,
        title="Values",
        description="Which values a new network gets as 0 and 1: the darkest and brightest of the whole image "
        "(percentile), or, of each channel by itself, air and three times the median of the body (median), for MR, "
        "whose values have no unit; auto takes median for sequences. A model that is trained further keeps its own",
    )
    neighbours: Annotated[str, Choice(("auto", "0", "1", "2"))] = Field(
        "auto",
        title="Neighbouring slices",
        description="Slices on either side that a new network also looks at; auto takes one where slices lie evenly "
        "and at most 3 mm apart. A model that is trained further keeps its own",
    )
    validation: float = Field(
        0.2, title="Held out", description="Share of the labelled slices that only measures, never trains", ge=0, le=0.5
    )
    test: float = Field(
        0.0,
        title="Test",
        description="Share of the images (or groups) that neither trains nor measures until the end; split.csv in the "
        "run's folder lists them",
        ge=0,
        le=0.5,
    )
    unlabelled: Annotated[int | None, Mark.ELSEWHERE] = Field(
        None, title="Unlabelled value", description="Mask value that never counts, for strokes: 0; empty for none", ge=0
    )
    learning_rate: Rate = Field(
        0.0, title="Learning rate", description="Largest step of the optimiser; 0 chooses by the start model"
    )
    optimizer: Annotated[str, Choice(OPTIMISERS)] = Field(
        "adamw", title="Optimiser", description="How steps follow from gradients; adamw suits short runs"
    )
    scheduler: Annotated[str, Choice(SCHEDULERS)] = Field(
        "cosine",
        title="Scheduler",
        description="How the learning rate falls over the run's time or steps; plateau: where the held-out Dice stalls",
    )
    coarse_start: bool = Field(
        True,
        title="Coarse start",
        description="A new network sees large samples at half resolution in the first 40 % of the run: many more steps "
        "in the time, but nothing is measured until half of it is over",
    )
    weight_decay: Decay = Field(1e-4, title="Weight decay", description="Pull of the weights towards zero")
    dropout: float = Field(
        0.0,
        title="Dropout",
        description="Share of the decoder's last features left out at random in every step, against learning by heart",
        ge=0,
        le=0.9,
    )
    encoder_rate: float | None = Field(
        None,
        title="Encoder's rate",
        description="Share of the learning rate that the encoder gets; 0 freezes it; empty takes 0.1 of a trained "
        "model and 1 of a new one",
        ge=0,
        le=1,
    )
    layer_decay: float = Field(
        1.0,
        title="Layer decay",
        description="The encoder in five parts: each learns at this share of the next deeper one's rate; 1 all alike",
        gt=0,
        le=1,
    )
    patience: Annotated[int, Mark.FREE] = Field(
        0,
        title="Patience",
        description="Stop early after so many validations without a better held-out Dice; 0 never",
        ge=0,
        le=1000,
    )
    checkpoint_minutes: Annotated[float, Mark.OWN, Mark.ELSEWHERE, Mark.FIXED] = Field(
        1.0,
        title="Checkpoint",
        description="Minutes between two states on disk, from which an interrupted run goes on; 0 writes none",
        ge=0,
        le=10_000,
    )
    devices: Annotated[int, Mark.OWN, Mark.ELSEWHERE] = Field(
        1,
        title="Devices",
        description="GPUs of each computer that train together (processes, on a CPU); needs napari-medseg[multi-gpu]",
        ge=1,
        le=1024,
    )
    nodes: Annotated[int, Mark.OWN, Mark.ELSEWHERE] = Field(
        1,
        title="Computers",
        description="Computers that train together; each is started by torchrun or Slurm",
        ge=1,
        le=1024,
    )
    blend: float = Field(
        0.0,
        title="Share of the new",
        description="How far fine-tuning goes from the start model to the trained weights (1); less forgets less; "
        "0 chooses by how much is labelled",
        ge=0,
        le=1,
    )
    rival: Annotated[bool, Mark.FIXED] = Field(
        True,
        title="Compare with Quick",
        description="Also fit a Quick model on the same slices, in at most a tenth of the time, and say how it does",
    )
    replay: float = Field(
        0.3,
        title="Replay",
        description="Share of the samples that come from what the start model remembers of its own training",
        ge=0,
        le=0.9,
    )
    remember: bool = Field(
        True,
        title="Remember",
        description="Keep the labelled slices with the model, so that later training forgets nothing; exports leave "
        "them out",
    )
    presence: bool = Field(
        False,
        title="Empty slices",
        description="Also learn whether a slice holds anything; needs whole slices in which everything is labelled. A "
        "model that has learnt it goes on learning it",
    )
    channels: Annotated[str, Choice(KINDS)] = Field(
        "auto",
        title="Channels",
        description="What several channels are: sequences, of which one may be missing, or the colours of a photo or "
        "of a stained slide; auto looks at the pixels",
    )
    sides: Annotated[str, Choice(("auto", "yes", "no"))] = Field(
        "auto",
        title="Left and right differ",
        description="Whether images must never be mirrored; auto looks at the classes",
    )
    group: Annotated[str, Mark.SHARED] = Field(
        "",
        title="Group",
        description="Regular expression on file names, or else their folders'; what it finds (a patient) is held out "
        "as a whole; of names in which it finds nothing, the volume is",
    )
    log_dir: Annotated[Path | None, Mark.OWN, Mark.SHARED] = Field(
        None,
        title="TensorBoard",
        description="Folder for TensorBoard, in which the run gets one of its own; needs napari-medseg[tensorboard]",
    )
    panels: Annotated[Path | None, Mark.OWN, Mark.FIXED] = Field(
        None,
        title="Panels",
        description="New folder for pictures of what was held out: image, truth and the new model's prediction",
    )

    @field_validator("test")
    @classmethod
    def _leaves_most(cls, value: float, info: ValidationInfo) -> float:
        if value + info.data.get("validation", 0) > MOST_HELD_OUT:
            raise ValueError("too little is left to train on beside what is held out")
        return value

    @field_validator("presence")
    @classmethod
    def _sees_all(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("crop"):
            raise ValueError("needs whole slices, which a crop is not")
        return value

    @field_validator("longest")
    @classmethod
    def _is_one_size(cls, value: int, info: ValidationInfo) -> int:
        if 0 < value < SMALLEST_SIDE:
            raise ValueError(f"is 0 or at least {SMALLEST_SIDE}")
        if value and info.data.get("reduction"):
            raise ValueError("cannot be given together with a reduction")
        return value

    @field_validator("log_dir", "panels")
    @classmethod
    def _lies_somewhere(cls, value: Path | None) -> Path | None:
        # A run that goes on may do so from another folder.
        return value and value.expanduser().absolute()

    @field_validator("group")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"'{value}' is no regular expression: {error}") from error
        return value
