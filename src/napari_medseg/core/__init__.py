"""The words of the project: images, labels, geometry, model cards, options, progress and errors."""

from .card import CLASSIFIER, LONGEST_NAME, MOST_CHANNELS, PALETTE, ClassInfo, ModelCard, Normalisation, check_name
from .errors import ComputeError, InputError, MedsegError, ModelError, OutputError
from .few import spread, spread_ends
from .geometry import Geometry, lengths_in_words
from .image import Axes, Finding, Image, Labels, Window, spare_value
from .options import Choice, Mark, Options, first_problem, marked, one_sentence, problems_by_field
from .progress import Cancelled, Progress, Reporter, silent
from .score import Score

__all__ = [
    "CLASSIFIER",
    "LONGEST_NAME",
    "MOST_CHANNELS",
    "PALETTE",
    "Axes",
    "Cancelled",
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
    "check_name",
    "first_problem",
    "lengths_in_words",
    "marked",
    "one_sentence",
    "problems_by_field",
    "silent",
    "spare_value",
    "spread",
    "spread_ends",
]
