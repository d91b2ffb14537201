"""Seconds and memory of inference beside the bare passes through the network and MONAI's sliding window.

    python benchmarks/inference.py [--quick] [--cases NAME ...] [--rounds 3] [--device auto] [--tiatoolbox PYTHON]
                                   [--json OUT]

Needs ``pip install monai`` and an interpreter with tiatoolbox (see README.md), or does without their rows. Every
contender runs in a process of its own, in turn (A B C A B C ...), on the same weights, pixels, tiles of 512 and overlap
of a quarter, after a small piece to get warm. What counts is from the raw pixels in memory to the labels in memory.
Memory is the peak of the process, as the kernel counts it.

``ours`` is `segment` in one number format (``--precision``: fp32 on a CPU, bf16 or fp16 on a graphics card). ``bare``
is the network alone on patches that lie ready, in the batches, number format and memory layout of ``ours``; it can be
slower, since nobody has the system leave it its memory from one pass to the next, as `hold_memory` does. ``monai,
alike`` is `sliding_window_inference` with the same, ``monai`` as its users call it: fp32, Gaussian, batches of four
windows. ``ours, auto`` has the number format that is picked here by itself.

``tiatoolbox`` is its `SemanticSegmentor` on the RGB images, as its users call it: fp32, plain mean of overlapping
windows, batches of eight. It takes whole images from files and leaves labels in files, so writing the one and reading
the other is part of it, and its windows stand elsewhere: at multiples of the stride, with white beyond the edge.

Seconds are the least of all rounds, on the clock and of the processor; ``x bare`` compares them with those of ``bare``.
``x own`` is the time of a run divided by the time that its own passes through the network took within it, the least of
all rounds: the only one of these to trust while others use the machine (on a graphics card it cannot be told).
``same labels`` is the share of pixels that have the labels of ``ours``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TILE, OVERLAP = 512, 0.25
ENCODERS = ("tu-mobilenetv3_small_100", "resnet34")
CASES = (*ENCODERS, "femur-ct")
CONTENDERS: tuple[str, ...] = ("ours", "bare", "monai, alike", "monai", "ours, auto")
WEIGHTS = "weights.pt"  # for those who cannot import napari_medseg
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_image(case: str, size: int) -> npt.NDArray[Any]:
    """An RGB image of ``size`` pixels a side, or a CT stack of ``size`` slices: smooth noise, the same each time."""
    generator = np.random.default_rng(0)
    if case == "femur-ct":
        coarse = generator.normal(0, 400, (size, 32, 32)).astype(np.int16)
        return coarse.repeat(16, 1).repeat(16, 2)
    coarse = generator.integers(60, 255, (size // 16, size // 16, 3)).astype(np.uint8)
    return coarse.repeat(16, 0).repeat(16, 1)


def make_model(case: str) -> Any:
    from napari_medseg.core import ClassInfo, ModelCard, Normalisation
    from napari_medseg.models import Model, load_model
    from napari_medseg.models.smp import import_smp

    if case == "femur-ct":
        return load_model("femur-ct")
    import torch

    torch.manual_seed(0)
    network = import_smp().Unet(case, encoder_weights=None, in_channels=3, classes=2).eval()
    normalisation = Normalisation(method="window", low=0, high=255, mean=MEAN, std=STD)
    card = ModelCard(
        name="benchmark", encoder=case, channels=3, classes=(ClassInfo.numbered(1),), normalisation=normalisation,
        tile=TILE, sha256="0" * 64,
    )  # fmt: skip
    return Model(card, network, Path())


class Work:
    """One contender's way from raw pixels to labels; call it to get them."""

    def __init__(self, given: argparse.Namespace) -> None:
        import torch

        from napari_medseg.inference.device import fast_precision, pick_device, thread_count

        self.case, self.contender, self.batch = given.cases[0], given.work, given.batch
        self.device = pick_device(given.device)
        self.precision = given.precision or ("fp32" if self.device.type == "cpu" else fast_precision(self.device))
        self.model = make_model(self.case)
        self.message = ""
        if self.device.type == "cpu":
            torch.set_num_threads(thread_count())
        else:
            self.message = torch.cuda.get_device_name(self.device)

    def __call__(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        self.batches: Counter[int] = Counter()
        self.passes = 0.0
        begun = [0.0]

        def before(_: object, inputs: tuple[Any, ...]) -> None:
            self.batches[inputs[0].shape[0]] += 1
            begun[0] = time.perf_counter()

        def after(*_: object) -> None:
            self.passes += time.perf_counter() - begun[0]

        network = self.model.network
        hooks = [network.register_forward_pre_hook(before), network.register_forward_hook(after)]
        try:
            return self._work(pixels)
        finally:
            for hook in hooks:
                hook.remove()

    def _work(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        ways: dict[str, Callable[[npt.NDArray[Any]], Any]] = {"bare": self._bare, "monai": self._monai}
        way = ways.get(self.contender.partition(",")[0], self._ours)
        return way(pixels)  # type: ignore[no-any-return]

    def _ours(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        from napari_medseg.core import Geometry, Image
        from napari_medseg.inference import segment

        stack = pixels.ndim == 3 and pixels.shape[-1] != 3
        image = Image(pixels, "ZYX" if stack else "YXC", Geometry.unknown(3 if stack else 2))
        precision = "auto" if "auto" in self.contender else self.precision

        def report(progress: Any) -> None:
            self.message = progress.message

        labels = segment(
            image, self.model, device=str(self.device), precision=precision, overlap=OVERLAP, report=report
        )
        return np.asarray(labels.data)

    def _input(self, pixels: npt.NDArray[Any]) -> Any:
        """The network's input (N, C, Y, X), float32, in memory."""
        import torch

        from napari_medseg.core import Geometry, Image
        from napari_medseg.inference import measure_range

        if self.case == "femur-ct":
            image = Image(pixels, "ZYX", Geometry.unknown(3))
            low, high = measure_range(image, self.model.card.normalisation)
            return (torch.from_numpy(pixels)[:, None].float() - low).div_(high - low).clamp_(0, 1)
        values = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div_(255)
        return values.sub_(torch.tensor(MEAN)[:, None, None]).div_(torch.tensor(STD)[:, None, None])

    def _bare(self, pixels: npt.NDArray[Any]) -> None:
        import torch

        from napari_medseg.inference.tiles import lay_grid

        batch = self.batch
        if self.case == "femur-ct":
            sizes = [min(batch, len(pixels) - first) for first in range(0, len(pixels), batch)]
        else:
            grid = lay_grid(pixels.shape[:2], TILE, OVERLAP)
            columns = len(grid.columns)
            sizes = [min(batch, columns - first) for first in range(0, columns, batch)] * len(grid.rows)
        network = self._placed(torch.channels_last)
        channels = 1 if self.case == "femur-ct" else 3
        ready = torch.rand(batch, channels, TILE, TILE, device=self.device).contiguous(
            memory_format=torch.channels_last
        )
        with torch.inference_mode(), self._format(alike=True):
            for size in sizes:
                network(ready[:size])
            if self.device.type == "cuda":
                torch.cuda.synchronize()

    def _monai(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        import torch
        from monai.inferers import sliding_window_inference

        alike = "alike" in self.contender
        network = self._placed(torch.channels_last if alike else torch.contiguous_format)
        batch = self.batch if alike else 4

        def predict(patches: torch.Tensor) -> torch.Tensor:
            layout = torch.channels_last if alike else torch.contiguous_format
            with self._format(alike):
                result: torch.Tensor = network(patches.contiguous(memory_format=layout))
            return result.float()

        labels = []
        with torch.inference_mode():
            every = self._input(pixels)
            for first in range(0, len(every), batch):
                part = every[first : first + batch].to(self.device)
                logits = sliding_window_inference(part, (TILE, TILE), batch, predict, overlap=OVERLAP, mode="gaussian")
                labels.append(logits.argmax(1).to(torch.uint8).cpu().numpy())
        return np.concatenate(labels) if self.case == "femur-ct" else labels[0][0]

    def _placed(self, layout: Any) -> Any:
        return self.model.network.eval().to(self.device, memory_format=layout)

    def _format(self, alike: bool) -> Any:
        import torch

        from napari_medseg.inference.device import DTYPES

        dtype = DTYPES[self.precision] if alike else torch.float32
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32)


def measure(job: Work, given: argparse.Namespace) -> None:
    """In a process of its own: do one piece of work, print what it took."""
    stack = job.case == "femur-ct"
    pixels = make_image(job.case, given.size)
    job(make_image(job.case, 8 if stack else 1024))
    wall, cpu = time.perf_counter(), time.process_time()
    labels = job(pixels)
    told: dict[str, Any] = {"seconds": time.perf_counter() - wall, "cpu seconds": time.process_time() - cpu}
    if job.device.type == "cpu" and "openvino" not in job.message:  # whose passes are no module's
        told["x own"] = told["seconds"] / job.passes
    told["MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
    if job.device.type == "cuda":
        import torch

        told["GPU MiB"] = torch.cuda.max_memory_allocated() / 2**20
    if labels is not None:
        np.save(given.save, labels)
    print(json.dumps({**told, "batch": job.batches.most_common(1)[0][0], "message": job.message}))


def compare(case: str, given: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """All contenders in turn, the least of all rounds of each."""
    size = given.slices if case == "femur-ct" else given.size
    found: dict[str, dict[str, Any]] = {}
    batch = 1
    contenders = tuple(given.contenders if find_spec("monai") else CONTENDERS[:2])
    if given.tiatoolbox and case != "femur-ct":
        import torch

        contenders += ("tiatoolbox",)
        torch.save(make_model(case).network.state_dict(), folder / WEIGHTS)
    for _ in range(given.rounds):
        for contender in contenders:
            program = [sys.executable, __file__]
            if contender == "tiatoolbox":
                program = [given.tiatoolbox, str(Path(__file__).with_name("tiatoolbox_work.py"))]
            command = [
                *program, "--work", contender, "--cases", case, "--size", str(size),
                "--batch", str(batch), "--device", given.device, "--precision", given.precision,
                "--save", str(folder / f"{contender}.npy"),
            ]  # fmt: skip
            told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
            batch = told["batch"] if contender == "ours" else batch
            before = found.setdefault(contender, told)
            least = {k: min(before[k], v) for k, v in told.items() if isinstance(v, float) and k in before}
            found[contender] = told | least
    ours = np.load(folder / "ours.npy")
    for contender, told in found.items():
        if (folder / f"{contender}.npy").exists():
            told["same labels"] = float((np.load(folder / f"{contender}.npy") == ours).mean())
    return found


def show(case: str, found: dict[str, dict[str, Any]]) -> None:
    """Print a table with ratios to the bare passes."""
    print(f"\n{case}: {found['ours']['message']}, batch {found['ours']['batch']}")
    print(f"{'':14}{'seconds':>9}{'x bare':>8}{'cpu s':>9}{'x bare':>8}{'x own':>8}{'MiB':>8}{'same labels':>13}")
    bare = found["bare"]
    for contender, told in found.items():
        row = f"{contender:14}"
        for key in ("seconds", "cpu seconds"):
            row += f"{told[key]:9.2f}{told[key] / bare[key]:8.3f}"
        row += f"{told.get('x own', float('nan')):8.3f}"
        same = f"{told['same labels']:13.5f}" if "same labels" in told else ""
        note = f"  {told['message']}" if "auto" in contender else ""
        print(f"{row}{told['MiB']:8.0f}{same}{note}", flush=True)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument(
        "--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS, help="'ours' and 'bare' first"
    )
    parser.add_argument("--size", type=int, default=4096, help="pixels of each side of the RGB images")
    parser.add_argument("--slices", type=int, default=300, help="slices of 512 x 512 of the CT stack")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 1024 pixels with one network")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="", help="of ours, bare and 'monai, alike'")
    parser.add_argument("--tiatoolbox", metavar="PYTHON", help="an interpreter with tiatoolbox; none, no such row")
    parser.add_argument("--json", type=Path)
    for own in ("--work", "--save"):
        parser.add_argument(own, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = read_arguments()
    if given.work:
        measure(Work(given), given)
        return
    if given.quick:
        given.size, given.rounds, given.cases = 1024, 1, ENCODERS[:1]
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in given.cases:
            found[case] = compare(case, given, Path(folder))
            show(case, found[case])
    if given.json:
        about = {"machine": platform.processor() or platform.machine(), "cpus": os.cpu_count(), "cases": found}
        given.json.write_text(json.dumps(about, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
