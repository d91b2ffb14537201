"""What napari's Open does with our formats."""

from __future__ import annotations

import json
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest
from PIL import Image as Picture

import napari_medseg
from napari_medseg import _reader, io
from napari_medseg.core import ClassInfo, Geometry, InputError, Labels
from napari_medseg.io.outlines.registry import outline_formats

MANIFEST = Path(napari_medseg.__file__).with_name("napari.yaml")


def save(path: Path, value: int = 9, shape: tuple[int, ...] = (20, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.full(shape, value, np.uint8)).save(path)
    return path


def masks(folder: Path) -> Path:
    geometry = Geometry(spacing=(5, 0.5, 0.5), unit="mm")
    data = np.zeros((3, 20, 30), np.uint8)
    data[:, 5:9, 5:9] = 1
    classes = (ClassInfo(value=1, name="femur", color="#123456"),)
    io.write(folder, Labels(data, classes, geometry, ("1.png", "2.png", "3.png")))
    return folder


@pytest.mark.parametrize(
    "path", ["notes.txt", "empty", "gone", "x.csv"], ids=["text", "empty folder", "missing folder", "table"]
)
def test_paths_that_are_not_ours_are_left_to_other_readers(path: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    assert _reader.get_reader(str(tmp_path / path)) is None


def test_one_foreign_file_leaves_the_whole_list_to_others(tmp_path: Path) -> None:
    assert _reader.get_reader([str(save(tmp_path / "1.png")), str(tmp_path / "a.txt")]) is None


def test_folder_opens_as_one_stack_in_the_order_people_count(tmp_path: Path) -> None:
    """S5."""
    for number in (1, 2, 10):
        save(tmp_path / "series" / f"{number}.png", number)
    read = _reader.get_reader(str(tmp_path / "series"))
    assert read is not None
    with pytest.warns(UserWarning, match="missing"):
        [(data, kwargs, kind)] = read(str(tmp_path / "series"))
    assert kind == "image"
    assert np.asarray(data)[:, 0, 0].tolist() == [1, 2, 10]
    assert kwargs["name"] == "series"
    assert kwargs["metadata"]["napari_medseg"]["names"] == ["1.png", "2.png", "10.png"]


def test_list_of_files_opens_as_one_stack(tmp_path: Path) -> None:
    files = [str(save(tmp_path / f"{n}.png", n)) for n in (2, 1)]
    [(data, _, _)] = _reader.read_layers(files)
    assert data.shape == (2, 20, 30)


def test_images_of_different_sizes_open_each_for_itself(tmp_path: Path) -> None:
    """S1."""
    for name, size in (("liver", (20, 30)), ("skin", (24, 30))):
        save(tmp_path / "set" / f"{name}.png", shape=size)
    with pytest.warns(UserWarning, match="another size"):
        layers = _reader.read_layers(str(tmp_path / "set"))
    assert [kwargs["name"] for _, kwargs, _ in layers] == ["liver", "skin"]


def test_masks_with_their_classes_open_as_labels(tmp_path: Path) -> None:
    folder = masks(tmp_path / "masks")
    [(data, kwargs, kind)] = _reader.read_layers(str(folder))
    assert kind == "labels"
    assert data.shape == (3, 20, 30)
    assert kwargs["colormap"][1] == "#123456"
    assert kwargs["scale"] == (5, 0.5, 0.5)


def test_damaged_file_is_one_sentence_with_its_name(tmp_path: Path) -> None:
    """F8."""
    path = tmp_path / "broken.png"
    path.write_bytes(b"")
    read = _reader.get_reader(str(path))
    assert read is not None
    with pytest.raises(InputError, match=r"broken\.png"):
        read(str(path))


def test_too_many_single_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reader, "MOST_LAYERS", 1)
    for name, size in (("liver", (20, 30)), ("skin", (24, 30))):
        save(tmp_path / "set" / f"{name}.png", shape=size)
    with pytest.raises(InputError, match="2 single images, too many"):
        _reader.read_layers(str(tmp_path / "set"))


def test_manifest_offers_every_format_for_reading_and_writing() -> None:
    script = runpy.run_path(str(MANIFEST.resolve().parent / "scripts" / "manifest.py"))
    text = MANIFEST.read_text(encoding="utf-8")
    assert script["renewed"](text) == text, "a format was added or taken away: run python scripts/manifest.py"
    contributions = PluginManifest.from_file(MANIFEST).contributions
    patterns = {p.removeprefix("*") for r in contributions.readers or () for p in r.filename_patterns}
    extensions = {e for w in contributions.writers or () for e in w.filename_extensions}
    for form in (*io.FORMATS, *outline_formats()):
        # A pattern matches the end of a name, so ".ome.tif" needs no entry of its own beside ".tif".
        assert all(any(suffix.endswith(p) for p in patterns) for suffix in form.suffixes), form.name
        if form.write is not None:
            assert all(any(suffix.endswith(e) for e in extensions) for suffix in form.suffixes), form.name


def test_outlines_open_as_shapes(tmp_path: Path) -> None:
    corners = [[2, 2], [9, 2], [9, 9], [2, 2]]
    geometry = {"type": "Polygon", "coordinates": [corners]}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": geometry}))
    assert _reader.get_reader(str(path)) is not None
    [(data, kwargs, kind)] = _reader.read_layers(str(path))
    assert kind == "shapes"
    assert kwargs["name"] == "a"
    assert np.allclose(np.min(data[0], 0), (1.5, 1.5))


def test_manifest_names_the_docks_and_menus_people_rely_on() -> None:
    contributions = PluginManifest.from_file(MANIFEST).contributions
    assert [w.display_name for w in contributions.widgets or ()] == [
        "Open", "Segment", "Fine-tune", "Compare", "Evaluate", "Models",
    ]  # fmt: skip
    assert {"napari/layers/segment", "napari/layers/annotate", "napari/layers/measure"} <= set(
        contributions.menus or {}
    )


def test_napari_opens_a_folder_with_this_plugin(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        save(tmp_path / "series" / f"{number}.png", number)
    PluginManager.instance().discover()
    viewer = ViewerModel()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        viewer.open(tmp_path / "series", plugin="napari-medseg")
    assert viewer.layers[0].data.shape == (3, 20, 30)
