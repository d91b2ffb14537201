"""Image and model in, labels out. Importing this loads no torch."""

from .options import SegmentOptions, pick_slices
from .ranges import measure_range
from .segment import ProbabilityStack, segment
from .suits import count_channels, why_not

__all__ = [
    "ProbabilityStack",
    "SegmentOptions",
    "count_channels",
    "measure_range",
    "pick_slices",
    "segment",
    "why_not",
]
