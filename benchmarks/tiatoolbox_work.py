"""tiatoolbox's part of inference.py, which runs this in an interpreter that has tiatoolbox and not napari_medseg."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inference import MEAN, OVERLAP, STD, TILE, WEIGHTS, Work, measure, read_arguments


def import_torchvision() -> Any:
    """Import torchvision, also one that was built for another torch (see napari_medseg/models/smp.py)."""
    library: Any = torch.library.Library("torchvision", "FRAGMENT")
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def make_segmentor(network: Any, device: str) -> Any:
    from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
    from tiatoolbox.models.models_abc import ModelABC

    class Model(ModelABC):
        """The network as tiatoolbox wants it; what is done with a batch is as in its own `UNetModel`."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(images)

        @staticmethod
        def infer_batch(model: Any, batch: torch.Tensor, *, device: str) -> npt.NDArray[Any]:
            model.eval()
            images = batch.to(device=device, dtype=torch.float32).permute(0, 3, 1, 2).div_(255)
            mean, std = torch.tensor([MEAN, STD], device=device)[:, :, None, None]
            with torch.inference_mode():
                return model(images.sub_(mean).div_(std)).softmax(1).permute(0, 2, 3, 1).cpu().numpy()

        @staticmethod
        def postproc(image: Any) -> Any:
            return image.argmax(axis=-1)

    return SemanticSegmentor(Model(), device=device, verbose=False)


class TiatoolboxWork(Work):
    """`SemanticSegmentor` with its defaults: batches of eight, no workers, results through zarr."""

    def __init__(self, given: argparse.Namespace) -> None:
        logging.basicConfig(level=logging.ERROR)  # tiatoolbox would have every message printed
        self.library = import_torchvision()
        import segmentation_models_pytorch as smp
        from tiatoolbox.models.engine.io_config import IOSegmentorConfig

        self.case, self.contender, self.message = given.cases[0], given.work, ""
        device = ("cuda" if torch.cuda.is_available() else "cpu") if given.device == "auto" else given.device
        self.device = torch.device(device)
        network = smp.Unet(self.case, encoder_weights=None, in_channels=3, classes=2)
        network.load_state_dict(torch.load(Path(given.save).with_name(WEIGHTS)))
        self.segmentor = make_segmentor(network, device)
        self.model = SimpleNamespace(network=self.segmentor.model)
        stride = round(TILE * (1 - OVERLAP))
        self.config = IOSegmentorConfig(
            input_resolutions=[{"units": "baseline", "resolution": 1.0}], patch_input_shape=(TILE, TILE),
            patch_output_shape=(TILE, TILE), stride_shape=(stride, stride),
        )  # fmt: skip

    def _work(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        import zarr

        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder, "image.npy")  # it takes whole images from files only; none is faster to read
            np.save(image, pixels)
            found = self.segmentor.run(
                [image], patch_mode=False, ioconfig=self.config, auto_get_mask=False,
                save_dir=Path(folder, "labels"), output_type="zarr",
            )  # fmt: skip
            return np.asarray(zarr.open(found[image], mode="r")["predictions"])


if __name__ == "__main__":
    given = read_arguments()
    measure(TiatoolboxWork(given), given)
