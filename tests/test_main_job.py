"""The main job with the built-in model: made-up and real femora, and the demo from start to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_medseg as medseg
from napari_medseg import demo
from napari_medseg.core import Geometry, Image
from napari_medseg.phantoms import FEMURS, femur_sample, femur_slices

pytestmark = pytest.mark.long


def test_built_in_model_finds_unseen_made_up_femora() -> None:
    """0.91 on average over twenty people (docs/femur-ct.md); of any three, some room below that."""
    found = []
    for seed in (1_800_001, 1_800_002, 1_800_003):
        image, truth = femur_sample(seed, slices=6)
        found.append(medseg.evaluate(medseg.segment(image, "femur-ct"), truth, merge=True).figure("dice").pooled)
    assert np.mean(found) > 0.85


def test_built_in_model_tells_the_sides_apart() -> None:
    data, truth, _ = femur_slices(1_800_003, [0.3, 0.5])
    labels = medseg.segment(Image(data, "ZYX", Geometry.unknown(3)), "femur-ct")
    assert [c.name for c in labels.classes] == [c.name for c in FEMURS]
    for value in (1, 2):
        assert (labels.data[truth == value] == value).mean() > 0.9


def test_built_in_model_finds_femora_in_a_real_series(real_data: Path) -> None:
    image = medseg.read(real_data / "femur_ct" / "images")
    truth = medseg.read_labels(real_data / "femur_ct" / "masks")
    assert (len(image), image.channels, image.names[0], image.names[-1]) == (93, 1, "1-439.png", "1-623.png")
    z = image.names.index("1-547.png")
    labels = medseg.segment(image, "femur-ct", slices=f"{z}:{z + 1}")
    wanted = truth.slice(truth.names.index("1-547.png")) > 0
    found = labels.slice(z) > 0
    assert 2 * (wanted & found).sum() / (wanted.sum() + found.sum()) > 0.9
    assert labels.missing == frozenset(range(93)) - {z}


def test_demo_runs_from_start_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLICES": 6, "CORRECTED": 3, "STEPS": 2}.items():
        monkeypatch.setattr(demo, name, value)
    output = tmp_path / "out"
    assert demo.demo(output=output, window=False) == 0
    for name in ("before", "after"):
        masks = medseg.read_labels(output / f"masks-{name}")
        assert masks.names == tuple(f"{z}.png" for z in range(6))
        assert np.asarray(masks.data).any()
        assert json.loads((output / f"evaluation-{name}.json").read_text())["rows"]
