"""Image and label pairs in, a better model out. Importing this loads no torch."""

from .losses import LOSSES
from .options import TrainOptions
from .presets import AUGMENTATIONS
from .run import Pair, TrainingRun, plan_run, train

__all__ = ["AUGMENTATIONS", "LOSSES", "Pair", "TrainOptions", "TrainingRun", "plan_run", "train"]
