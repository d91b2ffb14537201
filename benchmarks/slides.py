"""Seconds and memory of whole slides, by their size; and runs that are killed again and again.

    python benchmarks/slides.py [--sides 25000 50000 100000] [--model unet:tu-mobilenetv3_small_100] [--json OUT]
    python benchmarks/slides.py --kills 20

Slides are made up: the same four pieces of tissue, about a tenth of the smallest slide, on ever more glass. Each is
opened and segmented with random weights in a process of its own, whose peak of memory is the kernel's count.
``first labels`` is the time from the call to the first finished part of what is looked at, the middle of a piece, with
the model and the tissue known already, as on a second click.

With ``--kills`` a slide of a quarter of the smallest side is segmented by a process that is killed at random moments
and resumed every time, and every file of the result is compared with that of a run in peace.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "io"))

TISSUE = 4
PIECE = 3500
"""Pixels along the side of a piece of tissue."""


def pieces(side: int, size: int = PIECE) -> list[tuple[int, int, int, int]]:
    """Where tissue lies (y, x, height, width): equal areas in slides of every size."""
    places = ((0.2, 0.25), (0.3, 0.7), (0.7, 0.2), (0.75, 0.65))[:TISSUE]
    return [(int(y * (side - size)), int(x * (side - size)), size, size) for y, x in places]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", nargs="+", type=int, default=[25_000, 50_000, 100_000])
    parser.add_argument("--model", default="unet:tu-mobilenetv3_small_100")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", nargs=2, metavar=("SLIDE", "OUTPUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        print(json.dumps(work(*map(Path, arguments.work), arguments.model)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = kill(Path(folder), arguments) if arguments.kills else measure(Path(folder), arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


def measure(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One slide after the other."""
    from made_up_slides import write_slide

    rows = []
    for side in arguments.sides:
        slide = write_slide(folder / f"{side}.svs", side, pieces(side))
        done = subprocess.run(
            command(arguments, slide, folder / f"{side}.ome.zarr"), check=True, capture_output=True, text=True
        )
        rows.append({"side": side, **json.loads(done.stdout.splitlines()[-1])})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def command(arguments: argparse.Namespace, slide: Path, output: Path) -> list[str]:
    """What a process that segments a slide is started with."""
    return [sys.executable, __file__, "--model", arguments.model, "--work", str(slide), str(output)]


def work(slide: Path, output: Path, start: str) -> dict[str, Any]:
    """Open and segment a slide; what it took."""
    begin = time.perf_counter()
    import napari_medseg as medseg
    from napari_medseg._layers import image_layers

    imported = time.perf_counter() - begin
    begin = time.perf_counter()
    image = medseg.read(slide)
    image_layers(image)
    opened = time.perf_counter() - begin

    import torch

    from napari_medseg.core import ClassInfo, Normalisation, Progress
    from napari_medseg.inference.slides.tissue import find_tissue
    from napari_medseg.models import Model, start_card, start_network

    torch.manual_seed(0)
    card = start_card(start, name="made-up", classes=(ClassInfo.numbered(1),), channels=3)
    known = {"normalisation": Normalisation(method="window", low=0, high=255), "sha256": "0" * 64}
    card = card.model_copy(update=known)
    model = Model(card, start_network(start, card), Path())
    tissue = find_tissue(image)
    resumes = output.exists()
    middle = next((y + h // 2, x + w // 2) for y, x, h, w in pieces(image.shape[0]))
    seen = slice(middle[0] - 400, middle[0] + 400), slice(middle[1] - 600, middle[1] + 600)
    if not resumes:  # a click before this one has loaded the network and chosen kernels
        medseg.segment(
            image, model, output=output.with_name(f"before-{output.name}"), tissue_mask=tissue, inside=[corners(seen)]
        )
    times: list[float] = []
    windows = [0]
    begin = time.perf_counter()

    def report(progress: Progress) -> None:
        windows[0] = progress.total
        if progress.region is not None and not times:
            times.append(time.perf_counter() - begin)

    labels = medseg.segment(
        image, model, output=output, resume=resumes, tissue_mask=tissue, focus=lambda: seen, report=report
    )
    seconds = time.perf_counter() - begin
    found = {
        "import s": imported, "open s": opened, "first labels s": times[0] if times else 0.0, "segment s": seconds,
        "cpu s": time.process_time(), "windows": windows[0], "tissue": tissue.share,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "whole": labels.not_computed is None,
    }  # fmt: skip
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}


def corners(window: tuple[slice, slice]) -> list[tuple[int, int]]:
    """The outline of a small part in the middle of a rectangle."""
    y, x = ((part.start + part.stop) // 2 for part in window)
    return [(y, x), (y, x + 8), (y + 8, x + 8), (y + 8, x)]


def kill(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Kill a run so many times, and compare its files in the end."""
    from made_up_slides import write_slide

    side = min(arguments.sides) // 4
    slide = write_slide(folder / "slide.svs", side, pieces(side, side // 5))
    peace, war = folder / "peace.ome.zarr", folder / "war.ome.zarr"
    begin = time.perf_counter()
    subprocess.run(command(arguments, slide, peace), check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begin
    chance = random.Random(arguments.seed)
    files = []
    for _ in range(arguments.kills):
        run = subprocess.Popen(command(arguments, slide, war), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # From before it has begun to long after, however far it has come.
        time.sleep(chance.uniform(2, 2 + whole / 4))
        run.send_signal(signal.SIGKILL)
        run.wait()
        files.append(sum(len(names) for _, _, names in os.walk(war)))
    subprocess.run(command(arguments, slide, war), check=True, stdout=subprocess.DEVNULL)
    found = contents(peace) == contents(war)
    row = {"side": side, "kills": arguments.kills, "files at each": files, "files": len(contents(war)), "equal": found}
    print(json.dumps(row))
    return [row]


def contents(folder: Path) -> dict[str, str]:
    """Every file of a result by its content."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


if __name__ == "__main__":
    main()
