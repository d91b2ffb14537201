"""Quick models on real images: Dice, and the CPU's seconds to fit and to segment.

    python benchmarks/quick.py [--sets femur_ct cxr_lungs glas] [--start quick] [--seeds 0]

Trains on six slices (femur_ct) or five images (the others) and scores the masks that are left. CPU time, not time on
the wall: divide by the number of cores for what a user waits.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image as Picture

DATA = Path(os.environ.get("MEDSEG_DATA", Path(__file__).parents[2] / "shared" / "data"))
FEMUR = ("439", "475", "511", "547", "583", "619")
MOST = 60
THRESHOLD = {"cxr_lungs": 127, "glas": 0, "femur_ct": None}


def choose(name: str, seed: int) -> tuple[list[str], list[str]]:
    """Names of the masks that train and of those that measure."""
    names = sorted(p.name for p in (DATA / name / "masks").glob("*.png"))
    if name == "femur_ct":
        return [n for n in names if n[2:5] in FEMUR], [n for n in names if n[2:5] not in FEMUR]
    random.Random(seed).shuffle(names)
    return names[:5], names[5 : 5 + MOST]


def read_mask(name: str, mask: str) -> np.ndarray:
    values = np.array(Picture.open(DATA / name / "masks" / mask))
    values = values.max(-1) if values.ndim == 3 else values
    threshold = THRESHOLD[name]
    return values if threshold is None else (values > threshold).astype(np.uint8)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Of all classes as one."""
    return 2 * float(((found > 0) & (truth > 0)).sum()) / max(1, int((found > 0).sum() + (truth > 0).sum()))


def measure(name: str, start: str, seed: int, home: Path) -> dict[str, float]:
    from napari_medseg import read, segment, train

    training, test = choose(name, seed)
    images, masks = home / "images", home / "masks"
    for folder in (images, masks):
        folder.mkdir(parents=True)
    for mask in training:
        Picture.fromarray(read_mask(name, mask)).save(masks / mask)
    where = DATA / name / "images"
    one = name == "femur_ct"  # one patient: one image of many slices
    pairs = [(where, masks)] if one else [(where / mask, masks / mask) for mask in training]
    begin = time.process_time()
    card = train(pairs, model=start, name=f"bench-{name.replace('_', '-')}", validation=0, seed=seed)
    fit = time.process_time() - begin
    scores, begin, count = [], time.process_time(), 0
    if one:
        image = read(where)
        labels = segment(image, card.reference)
        count = len(image)
        scores = [dice(labels.slice(image.names.index(m)), read_mask(name, m)) for m in test]
    else:
        for mask in test:
            labels = segment(read(where / mask), card.reference)
            count += 1
            scores.append(dice(labels.slice(0), read_mask(name, mask)))
    predict = (time.process_time() - begin) / count
    return {
        "mean": statistics.mean(scores), "median": statistics.median(scores), "worst": min(scores),
        "fit CPU s": fit, "predict CPU s/slice": predict, "slices": len(test),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=["femur_ct", "cxr_lungs", "glas"])
    parser.add_argument("--start", default="quick")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    arguments = parser.parse_args()
    import catboost  # noqa: F401 - so that importing it is not counted

    for name in arguments.sets:
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as folder:
                os.environ["NAPARI_MEDSEG_HOME"] = folder
                row = measure(name, arguments.start, seed, Path(folder) / "data")
            print(f"{name}, seed {seed}:", ", ".join(f"{k} {v:.3f}" for k, v in row.items()), flush=True)


if __name__ == "__main__":
    main()
