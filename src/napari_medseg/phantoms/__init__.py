"""Procedural medical images whose truth is known exactly.

What needs torch is not imported here: `body` (CT slices), `histology` and `glands` (HE patches), `xray` (chests),
`primitives` (simple shapes in any contrast).
"""

from .femur import femur_ct, femur_slices
from .sample import FEMURS, built_in_sample, femur_sample

__all__ = ["FEMURS", "built_in_sample", "femur_ct", "femur_sample", "femur_slices"]
