"""The main job on the real femur CT series, through the command line as its users type it.

    python benchmarks/main_job.py [--minutes 3] [--starts femur-ct unet:resnet18] [--json OUT]

Prints seconds to segment the 93 slices and, for the ten masked slices that are never trained on, Dice (mean, median,
worst slice) of both femora as one class and of each side, before and after fine-tuning on six masks.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAINED = (439, 475, 511, 547, 583, 619)
METRICS = ("dice", "surface_dice", "hd95")
DATA = Path(os.environ.get("MEDSEG_DATA", Path(__file__).parents[2] / "shared" / "data")) / "femur_ct"


def medseg(*arguments: object, home: Path) -> float:
    """Run the command line; its seconds on the wall."""
    start = time.perf_counter()
    environment = {**os.environ, "NAPARI_MEDSEG_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "napari_medseg", *map(str, arguments)], check=True, env=environment)
    return time.perf_counter() - start


def score(prediction: Path, truth: Path, work: Path) -> dict[str, dict[str, float]]:
    """Mean, median and worst Dice over the slices of ``truth``: each class, and all as one."""
    scores = {}
    for merge in (False, True):
        report = work / "report.json"
        flags = ["--merge"] if merge else []
        medseg("evaluate", "--prediction", prediction, "--truth", truth, "--report", report, *flags, home=work)
        for row in json.loads(report.read_text())["summary"]:
            if row["metric"] in METRICS:
                name = f"{'both as one' if merge else row['class_name']}, {row['metric']}"
                scores[name] = {k: row[k] for k in ("mean", "median", "worst")}
        report.unlink()
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--starts", nargs="*", default=["femur-ct", "unet:resnet18"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for part, wanted in (("train", True), ("test", False)):
            (work / part).mkdir()
            for mask in (DATA / "masks").glob("*.png"):
                if (int(mask.stem.split("-")[1]) in TRAINED) == wanted:
                    shutil.copy(mask, work / part)
        model = ["segment", DATA / "images", "--model"]
        seconds = medseg(*model, "femur-ct", "--output", work / "before", home=work)
        results["femur-ct as shipped"] = {"segment_s": round(seconds, 1), **score(work / "before", work / "test", work)}
        for start in arguments.starts:
            for seed in arguments.seeds:
                name = f"from-{start.split(':')[-1]}-{seed}"
                budget = ["--max-minutes", arguments.minutes, "--seed", seed]
                pairs = ["--data", DATA / "images", work / "train"]
                trained = medseg("train", *pairs, "--model", start, "--name", name, *budget, home=work)
                seconds = medseg(*model, name, "--output", work / name, home=work)
                results[f"{start}, {arguments.minutes:g} min, seed {seed}"] = {
                    "train_s": round(trained, 1),
                    "segment_s": round(seconds, 1),
                    **score(work / name, work / "test", work),
                }
    print(json.dumps(results, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
