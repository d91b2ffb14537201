"""The words of the project: images, labels, geometry, model cards, options, progress and errors."""

from .card import CLASSIFIER, MOST_CHANNELS, PALETTE, ClassInfo, ModelCard, Normalisation, check_name, told_apart
from .channel_names import (
    RGB,
    ChannelName,
    are_swapped,
    clean_name,
    find_swapped,
    same_names,
    settle_names,
)  # fmt: skip
from .errors import ComputeError, InputError, MedsegError, ModelError, OutputError
from .few import spread, spread_ends
from .geometry import Geometry, lengths_in_words
from .image import Axes, Finding, Image, Labels, Window, spare_value
from .options import Choice, Mark, Options, first_problem, marked, one_sentence, problems_by_field
from .progress import Cancelled, Progress, Reporter, silent
from .score import Score

__all__ = [
    "CLASSIFIER",
    "MOST_CHANNELS",
    "PALETTE",
    "RGB",
    "Axes",
    "Cancelled",
    "ChannelName",
    "Choice",
    "ClassInfo",
    "ComputeError",
    "Finding",
    "Geometry",
    "Image",
    "InputError",
    "Labels",
    "Mark",
    "MedsegError",
    "ModelCard",
    "ModelError",
    "Normalisation",
    "Options",
    "OutputError",
    "Progress",
    "Reporter",
    "Score",
    "Window",
    "are_swapped",
    "check_name",
    "clean_name",
    "find_swapped",
    "first_problem",
    "lengths_in_words",
    "marked",
    "one_sentence",
    "problems_by_field",
    "same_names",
    "settle_names",
    "silent",
    "spare_value",
    "spread",
    "spread_ends",
    "told_apart",
]
