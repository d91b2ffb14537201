"""Image and label pairs in, a better model out. Importing this loads no torch."""

from .losses import LOSSES
from .options import TrainOptions
from .pair import Pair
from .presets import AUGMENTATIONS
from .recipe import Recipe, list_recipes
from .run import TrainingRun, plan_run, train

__all__ = [
    "AUGMENTATIONS", "LOSSES", "Pair", "Recipe", "TrainOptions", "TrainingRun", "list_recipes", "plan_run", "train",
]  # fmt: skip
