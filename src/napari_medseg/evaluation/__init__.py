"""How well a segmentation agrees with the truth."""

from .compare import evaluate, evaluate_set
from .metrics import METRICS, Metric
from .partners import match_slices, slice_key
from .report import Report, Row, Summary

__all__ = ["METRICS", "Metric", "Report", "Row", "Summary", "evaluate", "evaluate_set", "match_slices", "slice_key"]
