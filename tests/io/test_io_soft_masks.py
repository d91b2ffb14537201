"""Masks of 0 and 255 with values between: softened edges, or classes; and colours that are said of grey masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up import save_png

from napari_medseg.core import InputError, Progress
from napari_medseg.io import read_labels, read_pair
from napari_medseg.io.masks.colors import find_legend
from napari_medseg.io.masks.legend import legend_of
from napari_medseg.io.masks.values import settle_values
from napari_medseg.io.pairs.preview import preview_pairs
from napari_medseg.training import TrainOptions, plan_run
from napari_medseg.training.gather import find_reading, gather
from napari_medseg.training.schedule import Budget
from napari_medseg.training.watch import Watch

Mark = tuple[int | slice, int | slice, int]


def mask(*marks: Mark, side: int = 64) -> np.ndarray:
    """A square of 255, and other values where they are put."""
    data = np.zeros((side, side), np.uint8)
    data[side // 4 : side - side // 4, side // 4 : side - side // 4] = 255
    for rows, columns, value in marks:
        data[rows, columns] = value
    return data


ACROSS, AROUND = slice(16, 48), slice(15, 49)

EDGE: tuple[Mark, ...] = ((15, ACROSS, 96), (48, ACROSS, 160))

SOFT = {
    "two rows": mask(*EDGE),
    "rows on each other": mask((15, ACROSS, 160), (14, ACROSS, 96)),
    "three pixels": mask((15, 20, 182), (14, 20, 4), (40, 48, 252)),
    "a stray pixel": mask((10, 10, 4), (63, 100, 182), side=256),
    "one row": mask((15, slice(16, 40), 128)),
}

THIN = (slice(15, 17), slice(47, 49))

CLASSES = {
    "two areas": mask((slice(20, 30), slice(40, 56), 127)),
    "three areas": mask((slice(0, 8), slice(0, 9), 50), (slice(54, 60), slice(0, 9), 100)),
    "a nodule beside": mask((slice(5, 7), slice(5, 7), 127), side=256),
    "a nodule within": mask((slice(100, 102), slice(100, 103), 127), side=256),
    "a nodule of the edge": mask((slice(14, 18), slice(30, 34), 127)),
    "an outline": mask(*((side, AROUND, 128) for side in THIN), *((AROUND, side, 128) for side in THIN)),
    "layers": np.repeat(np.array([0, 60, 120, 180, 255, 255, 255, 255], np.uint8), 3)[:, None].repeat(20, 1),
    "numbers": mask((15, 20, 1), (48, slice(20, 24), 2)),
    "no background": np.where(mask(*EDGE) == 0, 255, mask(*EDGE)).astype(np.uint8),
}


@pytest.mark.parametrize("name", SOFT)
def test_softened_edges_are_told_by_where_they_lie_not_by_how_many_levels(name: str) -> None:
    data, findings = settle_values(SOFT[name], name="x.png")
    np.testing.assert_array_equal(data, SOFT[name] >= 128)
    assert [(f.code, f.files) for f in findings] == [("SOFT_MASK", ("x.png",))]


@pytest.mark.parametrize("name", CLASSES)
def test_areas_are_classes_as_stored(name: str) -> None:
    data, findings = settle_values(CLASSES[name])
    np.testing.assert_array_equal(data, CLASSES[name])
    assert not findings


def test_a_softened_slice_of_a_stack_is_told_a_class_in_one_slice_kept() -> None:
    stack = np.stack([mask(), mask(*EDGE), mask()])
    assert np.unique(settle_values(stack)[0]).tolist() == [0, 1]
    areas = np.stack([mask(*EDGE), mask(), CLASSES["two areas"]])
    np.testing.assert_array_equal(settle_values(areas)[0], areas)


def test_thin_classes_can_be_said(tmp_path: Path) -> None:
    path = save_png(tmp_path / "x.png", mask(*EDGE))
    legend = legend_of([("#606060", "low"), ("#a0a0a0", "high"), ("#ffffff", "nucleus")])
    assert [c.name for c in read_labels(path, legend=legend).classes] == ["low", "high", "nucleus"]
    assert np.unique(read_labels(path, legend=legend).data).tolist() == [0, 1, 2, 3]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Six images that are no series, with masks of which one is softened."""
    for i, name in enumerate(("ant", "bee", "cow", "dog", "elk", "fox")):
        save_png(tmp_path / "images" / f"{name}.png", np.resize(np.arange(200 + i, dtype=np.uint8), (64, 64)))
        save_png(tmp_path / "masks" / f"{name}.png", mask(*(EDGE if name == "cow" else ())))
    return tmp_path / "images", tmp_path / "masks"


@pytest.mark.parametrize("numbered", [False, True], ids=["set", "series"])
@pytest.mark.parametrize("merge", [False, True])
def test_one_softened_mask_gives_the_model_no_classes_and_is_said(
    folders: tuple[Path, Path], numbered: bool, merge: bool
) -> None:
    if numbered:
        for folder in folders:
            for i, path in enumerate(sorted(folder.iterdir())):
                path.rename(folder / f"{i}.png")
    said: list[Progress] = []
    run, watch = plan_run([folders]).model_copy(update={"merge": merge}), Watch(said.append, Budget(None, 1))
    painted = gather(run.pairs, TrainOptions(), watch, find_reading(run, watch))
    assert {int(v) for one in painted for v in np.unique(one.values)} == {0, 1}
    assert len({int((one.values > 0).sum()) for one in painted}) == 2, "the row of 160 counts, that of 96 does not"
    told = [one.message for one in said if "from 128 up" in one.message]
    assert len(told) == 1
    assert told[0].startswith("masks: " if numbered else "cow.png: ")


def test_many_softened_masks_are_said_once(folders: tuple[Path, Path]) -> None:
    for path in folders[1].iterdir():
        save_png(path, mask(*EDGE))
    said: list[Progress] = []
    run, watch = plan_run([folders]), Watch(said.append, Budget(None, 1))
    gather(run.pairs, TrainOptions(), watch, find_reading(run, watch))
    assert len([one for one in said if "from 128 up" in one.message]) == 1


# --- colours that are said of grey masks


def test_a_colour_said_of_grey_masks_is_refused(folders: tuple[Path, Path]) -> None:
    run = plan_run([folders], classes=["#ff0000=tumour"])
    with pytest.raises(InputError, match=r"grey levels .* ant\.png, and the colour #ff0000 is in none of them"):
        find_reading(run, Watch(lambda _: None, Budget(None, 1)))
    with pytest.raises(InputError, match="#ff0000 is in none of them"):
        preview_pairs(*folders, legend=legend_of([("#ff0000", "tumour")]))


@pytest.mark.parametrize("last", ["rgb", "grey"])
def test_a_mask_without_colour_beside_coloured_ones_is_read(folders: tuple[Path, Path], last: str) -> None:
    """Empty ones are there in every set, and one may show the white class only."""
    images, masks = folders
    white = mask()
    for path in masks.iterdir():
        save_png(path, np.zeros((64, 64) if last == "grey" else (64, 64, 3), np.uint8))
    given = legend_of([("#ff0000", "tumour"), ("#ffffff", "stroma")])
    save_png(masks / "fox.png", white if last == "grey" else np.stack([white] * 3, -1))
    save_png(masks / "elk.png", np.stack([white, white * 0, white * 0], -1))
    legend, _ = find_legend(sorted(masks.iterdir()), given)
    for name, values in (("ant", [0]), ("elk", [0, 1]), ("fox", [0, 2])):
        _, labels, _ = read_pair(images / f"{name}.png", masks / f"{name}.png", legend=legend)
        assert np.unique(labels.data).tolist() == values


def test_masks_of_background_only_contradict_no_colour(folders: tuple[Path, Path]) -> None:
    given = legend_of([("#ff0000", "tumour")])
    for path in folders[1].iterdir():
        save_png(path, np.zeros((64, 64), np.uint8))
    assert find_legend(sorted(folders[1].iterdir()), given) == (given, ())
    (folders[1] / "ant.png").write_bytes(b"no picture")
    assert find_legend(sorted(folders[1].iterdir()), given) == (given, ())
