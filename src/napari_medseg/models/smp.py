"""Importing segmentation_models_pytorch, whatever torchvision is beside it."""

from __future__ import annotations

import re
import sys
import threading
from functools import cache
from typing import Any

from napari_medseg.core import CLASSIFIER, ModelError

SMP_LOCK = threading.RLock()
_schemas: list[Any] = []  # libraries of operator schemas; torch forgets the schemas when they are collected


@cache
def import_smp() -> Any:
    """Import segmentation_models_pytorch, also beside a torchvision that was built for another torch.

    smp and timm import torchvision, of which they use nothing that needs its compiled operators. Beside a CPU-only
    torch, pip installs the CUDA torchvision, whose import stops at ``operator torchvision::nms does not exist``;
    declaring those operators without an implementation lets it pass. A torchvision that works is left alone.

    Raises
    ------
    ModelError
        If the import fails for another reason.
    """
    with SMP_LOCK:
        try:
            for _ in range(3):
                try:
                    return _import()
                except RuntimeError as error:
                    if not re.search(r"torchvision::\w+ does not exist", str(error)):
                        raise
                    _declare_operators()
            return _import()
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelError(
                f"segmentation_models_pytorch cannot be imported: {first_line(error)}.",
                "Install it again with: pip install --force-reinstall segmentation-models-pytorch torchvision",
            ) from error


def _import() -> Any:
    import torch

    if not torch.cuda.is_available():
        # Only graphics cards need triton, which torchvision would load; its LLVM ends a process that draws with Mesa's.
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]
    import segmentation_models_pytorch

    from .classifier import Classifier
    from .fcn import FCN8s

    segmentation_models_pytorch.MODEL_ARCHITECTURES_MAPPING |= {"fcn8s": FCN8s, CLASSIFIER: Classifier}
    return segmentation_models_pytorch


def _declare_operators() -> None:
    import torch

    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        try:
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:  # someone else has declared it meanwhile
            continue
    _schemas.append(library)


def first_line(error: BaseException) -> str:
    """What an error says, short enough for one sentence."""
    text = str(error).strip().splitlines()
    return (text[0][:300] if text else type(error).__name__).rstrip(".")
