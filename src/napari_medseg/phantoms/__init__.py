"""Procedural medical images whose truth is known exactly."""

from .femur import femur_ct, femur_slices

__all__ = ["femur_ct", "femur_slices"]
