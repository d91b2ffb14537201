"""Procedural medical images whose truth is known exactly."""

from .femur import femur_ct, femur_slices
from .sample import FEMURS, femur_sample

__all__ = ["FEMURS", "femur_ct", "femur_sample", "femur_slices"]
