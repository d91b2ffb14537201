"""Whole slides: out of core, in any order, interrupted, in parts, with the same bytes in the end."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from small_slides import OPTIONS, SHAPE, Broken, Smooth, files_of, small_model, small_slide

from napari_medseg.core import Cancelled, Image, InputError, Labels, ModelError, OutputError, Progress
from napari_medseg.inference import SegmentOptions, segment
from napari_medseg.inference.slides import run as slide_run
from napari_medseg.inference.slides import shards
from napari_medseg.inference.slides import writer as slide_writer
from napari_medseg.inference.slides.ledger import Ledger
from napari_medseg.inference.slides.reader import SlideReader
from napari_medseg.inference.slides.segment import segment_slide
from napari_medseg.io.pyramid import halve
from napari_medseg.io.zarr.chunks import ChunkFiles
from napari_medseg.io.zarr.labels import LabelPyramid

EMPTY = 255


@pytest.fixture(scope="module")
def slide() -> Image:
    return small_slide()


@pytest.fixture(scope="module")
def undisturbed(slide: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a run that nothing came in between."""
    path = tmp_path_factory.mktemp("undisturbed") / "slide.ome.zarr"
    segment_slide(slide, small_model(), OPTIONS, output=path)
    return path


def stop_after(blocks: int) -> Callable[[Progress], None]:
    """A reporter that cancels once so many parts are finished."""
    seen = []

    def report(progress: Progress) -> None:
        seen.extend([progress.region] if progress.region else [])
        if len(seen) >= blocks:
            raise Cancelled

    return report


def test_a_slide_is_labelled_as_if_it_were_one_image(slide: Image, tmp_path: Path) -> None:
    """C5: exactly, where overlaps are discarded."""
    reports: list[Progress] = []
    options = OPTIONS.model_copy(update={"blend": "discard"})
    labels = segment(slide, small_model(), options, output=tmp_path / "a.ome.zarr", report=reports.append)
    with torch.inference_mode():
        whole = Smooth()(torch.from_numpy(slide.data).permute(2, 0, 1)[None].float() / 255).argmax(1)[0].numpy()
    # Looked at, glass is background too.
    np.testing.assert_array_equal(labels.data, whole)
    assert {*np.unique(labels.data)} == {0, 1, 2}
    assert labels.not_computed is None
    assert labels.geometry == slide.geometry
    above = np.asarray(labels.data)
    for level in labels.levels:
        above = halve(above)
        np.testing.assert_array_equal(level, above)
    assert len(labels.levels) == 3
    [tissue] = [f for f in labels.findings if f.code == "TISSUE"]
    assert "% of the slide is tissue; the rest was taken as background without a look" in tissue.message
    finished = np.zeros(SHAPE, bool)
    for report in reports:
        if report.region is not None:
            finished[report.region] = True
    assert finished.all()
    assert reports[-1].done == reports[-1].total > 0
    assert all(a.done <= b.done for a, b in pairwise(reports))


def test_glass_is_not_looked_at(slide: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    original = SlideReader.__call__
    monkeypatch.setattr(SlideReader, "__call__", lambda self, window: read.append(window) or original(self, window))
    mask = np.zeros((7, 47), bool)
    mask[0, 0] = True
    labels = segment_slide(slide, small_model(), OPTIONS, output=tmp_path / "a.ome.zarr", tissue_mask=mask)
    assert {(rows.start // 128, columns.start // 128) for rows, columns in read} == {(0, 0)}
    assert not np.asarray(labels.data)[:, 230:].any()
    assert labels.not_computed is None
    [finding] = [f for f in labels.findings if f.code == "TISSUE"]
    assert finding.message.startswith("0 % of the slide")
    with pytest.raises(InputError, match="Nothing is marked as tissue"):
        segment_slide(slide, small_model(), OPTIONS, output=tmp_path / "b.ome.zarr", tissue_mask=np.zeros((2, 2)))


def test_what_is_looked_at_comes_first_and_changes_no_byte(slide: Image, undisturbed: Path, tmp_path: Path) -> None:
    view = (slice(300, 420), slice(2500, 2900))
    reports: list[Progress] = []
    output = tmp_path / "a.ome.zarr"
    segment_slide(slide, small_model(), OPTIONS, output=output, report=reports.append, focus=lambda: view)
    [first, *_] = [p.region for p in reports if p.region]
    assert (first[0].stop > 300, first[1].stop > 2500, first[1].start < 2900) == (True, True, True)
    assert files_of(output) == files_of(undisturbed)


def test_a_look_elsewhere_changes_no_byte(
    slide: Image, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where what is left is sooner done by another pass, or the view is beside the slide."""
    right, beside = (slice(-300, 900), slice(2000, 9000)), (slice(-900, -100), slice(-700, -20))
    views, began_anew = [None, right, beside], []
    sooner = slide_run.SlideRun._sooner_anew
    monkeypatch.setattr(slide_run.SlideRun, "_sooner_anew", lambda *a: began_anew.append(sooner(*a)) or began_anew[-1])
    output = tmp_path / "a.ome.zarr"
    segment_slide(
        slide, small_model(), OPTIONS, output=output, focus=lambda: views.pop(0) if len(views) > 1 else views[0]
    )
    assert any(began_anew)
    assert files_of(output) == files_of(undisturbed)


@pytest.mark.parametrize("memory", [1_500_000])
def test_narrow_passes_change_no_byte(
    slide: Image, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(slide_run, "SUMS_BYTES", memory)
    segment_slide(slide, small_model(), OPTIONS, output=tmp_path / "a.ome.zarr")
    assert files_of(tmp_path / "a.ome.zarr") == files_of(undisturbed)


def test_cancelled_and_resumed_has_the_same_bytes(
    slide: Image, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G2, W3: what is finished is kept, what is missing is not background, and nothing is computed twice."""
    monkeypatch.setattr(slide_writer, "FLUSH_BLOCKS", 1)  # else all may be done before the first is told of
    output = tmp_path / "a.ome.zarr"
    with pytest.raises(Cancelled):
        segment_slide(slide, small_model(), OPTIONS, output=output, report=stop_after(3))
    there = Ledger(output).done()
    assert 0 < len(there) < 20
    values = np.asarray(LabelPyramid.open(output).levels[0])
    assert (values == EMPTY).any()
    reports: list[Progress] = []
    labels = segment_slide(slide, small_model(), OPTIONS, output=output, resume=True, report=reports.append)
    again = {(r.region[0].start // 512, r.region[1].start // 512) for r in reports if r.region}
    assert not again & there
    assert labels.not_computed is None
    assert files_of(output) == files_of(undisturbed)


def test_a_result_that_is_there_is_kept(slide: Image, undisturbed: Path, tmp_path: Path) -> None:
    """W5."""
    before = files_of(undisturbed)
    with pytest.raises(OutputError, match=r"slide\.ome\.zarr exists.*resume or overwrite"):
        segment_slide(slide, small_model(), OPTIONS, output=undisturbed)
    assert files_of(undisturbed) == before
    mine = tmp_path / "notes.ome.zarr"
    mine.mkdir()
    (mine / "my notes.txt").write_text("dear")
    for how in ("resume", "overwrite"):
        with pytest.raises(OutputError, match=r"notes\.ome\.zarr"):
            segment_slide(slide, small_model(), OPTIONS, output=mine, **{how: True})  # type: ignore[arg-type]
    assert (mine / "my notes.txt").read_text() == "dear"


def test_going_on_with_something_else_is_refused(slide: Image, tmp_path: Path) -> None:
    """M11, S10."""
    output = tmp_path / "a.ome.zarr"
    with pytest.raises(Cancelled):
        segment_slide(slide, small_model(), OPTIONS, output=output, report=stop_after(2))
    before = files_of(output)
    other = Smooth()
    other.register_buffer("more", torch.ones(1))
    brighter = replace(slide, data=slide.data // 2, levels=tuple(x // 2 for x in slide.levels))
    for image, model, options, words in (
        (slide, small_model(other), OPTIONS, "other weights of the model smooth@1"),
        (slide, small_model(name="rough"), OPTIONS, "the model smooth@1"),
        (brighter, small_model(), OPTIONS, "another image"),
        (
            slide,
            small_model(),
            OPTIONS.model_copy(update={"overlap": 0.5}),
            r"other options \(overlap: 0\.25, now 0\.5",
        ),
    ):
        with pytest.raises(InputError, match=rf"a\.ome\.zarr was begun with {words}"):
            segment_slide(image, model, options, output=output, resume=True)
    with pytest.raises(InputError, match="tissue mask"):
        segment_slide(slide, small_model(), OPTIONS, output=output, resume=True, tissue_mask=np.ones((2, 2)))
    assert files_of(output) == before
    # Anew it may be anything.
    labels = segment_slide(slide, small_model(name="rough"), OPTIONS, output=output, overwrite=True)
    assert labels.not_computed is None


def test_a_file_that_changes_ends_the_run(tmp_path: Path) -> None:
    """S10: what is done is kept, and the rest cannot be mixed with it."""
    file = tmp_path / "slide.svs"
    file.write_bytes(b"as it was")
    image = small_slide(source=file)
    reports: list[Progress] = []

    def report(progress: Progress) -> None:
        reports.append(progress)
        if progress.region and file.exists():
            file.write_bytes(b"somebody exported it again")

    with pytest.raises(InputError, match=r"slide\.svs was changed or removed during the run"):
        segment_slide(image, small_model(), OPTIONS, output=tmp_path / "a.ome.zarr", report=report)
    assert Ledger(tmp_path / "a.ome.zarr").done()
    with pytest.raises(InputError, match="file has changed since"):
        segment_slide(image, small_model(), OPTIONS, output=tmp_path / "a.ome.zarr", resume=True)


def test_a_corrupt_tile_is_marked_and_the_run_goes_on(slide: Image, tmp_path: Path, undisturbed: Path) -> None:
    """F2: in the result, the ledger and the findings; never as background."""
    hole = slice(256, 512), slice(1280, 1536)
    image = replace(slide, data=Broken(slide.data, *hole))
    output = tmp_path / "a.ome.zarr"
    labels = segment_slide(image, small_model(), OPTIONS, output=output)
    values, whole = np.asarray(labels.data), np.asarray(LabelPyramid.open(undisturbed).levels[0])
    lost = np.zeros(SHAPE, bool)
    lost[hole] = True
    np.testing.assert_array_equal(values == EMPTY, lost)
    near = np.zeros(SHAPE, bool)
    near[254:514, 1278:1538] = True
    np.testing.assert_array_equal(values[~near], whole[~near])
    assert labels.not_computed == EMPTY
    [finding] = [f for f in labels.findings if f.code == "UNREADABLE"]
    assert finding.message.startswith("0.066 megapixels of the slide could not be read")
    assert "row 256, column 1280" in finding.message
    recorded = np.zeros(SHAPE, int)
    for rows, columns in Ledger(output).unreadable():
        recorded[rows, columns] += 1
    np.testing.assert_array_equal(recorded, lost)
    # Whatever the order.
    with pytest.raises(Cancelled):
        segment_slide(image, small_model(), OPTIONS, output=tmp_path / "b.ome.zarr", report=stop_after(2))
    segment_slide(image, small_model(), OPTIONS, output=tmp_path / "b.ome.zarr", resume=True)
    assert files_of(tmp_path / "b.ome.zarr") == files_of(output)


def test_a_full_disk_ends_the_run_and_it_goes_on_when_there_is_room(
    slide: Image, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W2, W4."""
    output, written = tmp_path / "a.ome.zarr", []
    write = ChunkFiles.write

    def full(self: ChunkFiles, place: tuple[int, int], values: Any) -> None:
        written.append(place)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, place, values)

    monkeypatch.setattr(ChunkFiles, "write", full)
    with pytest.raises(OutputError, match=r"No space left on device.*Free some space"):
        segment_slide(slide, small_model(), OPTIONS, output=output)
    monkeypatch.undo()
    segment_slide(slide, small_model(), OPTIONS, output=output, resume=True)
    assert files_of(output) == files_of(undisturbed)


def test_what_a_person_put_back_is_never_overwritten(slide: Image, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.ome.zarr"
    with pytest.raises(Cancelled):
        segment_slide(slide, small_model(), OPTIONS, output=output, report=stop_after(2))
    pyramid, box = LabelPyramid.open(output), (slice(200, 600), slice(1000, 2200))
    values = pyramid.read(*box)
    values[100, 5:900] = 2
    values[50:60, 50:60] = 0
    Ledger(output).keep(*box, values)
    pyramid.put(*box, values)
    labels = segment_slide(slide, small_model(), OPTIONS, output=output, resume=True)
    wanted = np.asarray(LabelPyramid.open(undisturbed).levels[0])
    said = values != EMPTY
    wanted[box] = np.where(said, values, wanted[box])
    np.testing.assert_array_equal(labels.data, wanted)
    for level in labels.levels:
        wanted = halve(wanted)
        np.testing.assert_array_equal(level, wanted)


def test_only_what_is_inside_outlines_is_computed(slide: Image, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.ome.zarr"
    triangle, square = [(100, 900), (650, 1000), (300, 2900)], [(0, 3000), (0, 3600), (690, 3600), (690, 3000)]
    labels = segment_slide(slide, small_model(), OPTIONS, output=output, inside=[triangle, square])
    values, whole = np.asarray(labels.data), np.asarray(LabelPyramid.open(undisturbed).levels[0])
    computed = values != EMPTY
    assert computed[:690, 3000:3600].all()
    assert not computed[:, 3600:].any()
    assert not computed[:, :900].any()
    area = 0.5 * abs(np.linalg.det([[550, 100], [200, 2000]]))
    assert computed[:, :3000].sum() == pytest.approx(area, rel=0.001)
    np.testing.assert_array_equal(values[computed], whole[computed])
    assert labels.not_computed == EMPTY
    assert [f for f in labels.findings if f.code == "NOT_COMPUTED"]
    segment_slide(slide, small_model(), OPTIONS, output=output, resume=True)
    assert files_of(output) == files_of(undisturbed)
    with pytest.raises(InputError, match="Nothing of the slide is inside"):
        segment_slide(
            slide, small_model(), OPTIONS, output=output, resume=True, inside=[[(-9, -9), (-9, -5), (-5, -5)]]
        )


@pytest.mark.parametrize("count", [3])
def test_shards_together_have_the_bytes_of_one_run(
    slide: Image, tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BUILD_ROWS", 3)
    tall = replace(slide, data=slide.data.swapaxes(0, 1), levels=tuple(x.swapaxes(0, 1) for x in slide.levels))
    one, output = tmp_path / "one.ome.zarr", tmp_path / "shared.ome.zarr"
    segment_slide(tall, small_model(), OPTIONS, output=one)
    order = [*range(1, count + 1)][::-1]
    for number in order:
        labels = segment_slide(tall, small_model(), OPTIONS, output=output, shard=f"{number}/{count}")
        assert (labels.not_computed is None) == (number == order[-1])
    assert files_of(output) == files_of(one)
    with pytest.raises(InputError, match="like 2/4"):
        segment_slide(tall, small_model(), OPTIONS, output=output, shard="3/2")


def test_a_model_of_another_pixel_size_gets_it(slide: Image, tmp_path: Path) -> None:
    """M10: read at its pixel size, the result at that of the slide."""
    labels = segment_slide(slide, small_model(pixel_size=0.0091), OPTIONS, output=tmp_path / "a.ome.zarr")
    whole = segment_slide(slide, small_model(), OPTIONS, output=tmp_path / "b.ome.zarr")
    assert labels.data.shape == SHAPE
    values, fine = np.asarray(labels.data), np.asarray(whole.data)
    assert (values == fine)[fine == 0].mean() > 0.95
    assert [f for f in labels.findings if f.code == "PIXEL_SIZE"]


def test_what_slides_cannot_have_is_refused_before_anything_is_written(slide: Image, tmp_path: Path) -> None:
    """M3, T2."""
    output = tmp_path / "a.ome.zarr"
    with pytest.raises(ModelError, match="needs grey, this is RGB"):
        segment_slide(slide, small_model(channels=1), OPTIONS, output=output)
    named = replace(slide, meaning="channels", channel_names=("a", "b", "c"))
    with pytest.raises(ModelError, match=r"the channels a, b, c, the model .* has learnt from c, b, a"):
        segment_slide(named, small_model(channel_names=("c", "b", "a")), OPTIONS, output=output)
    with pytest.raises(InputError, match="cannot be tidied up on slides"):
        segment(slide, small_model(), OPTIONS, smallest=9, output=output)
    with pytest.raises(InputError, match="Probabilities"):
        segment(slide, small_model(), OPTIONS, probabilities=lambda z, p: None, output=output)
    assert not [*tmp_path.iterdir()]


def test_without_an_output_the_result_is_in_the_library(slide: Image, own_library: Path) -> None:
    image = small_slide((300, 500))
    results = [segment(image, small_model(), OPTIONS) for _ in range(2)]
    names = sorted(p.name for p in (own_library / "results").glob("*.zarr"))
    assert len(names) == 2
    assert names[0].startswith("slide-")
    np.testing.assert_array_equal(results[0].data, results[1].data)
    assert isinstance(results[0], Labels)


def test_a_class_of_high_value_needs_a_wider_type(slide: Image, tmp_path: Path) -> None:
    """V5."""
    from napari_medseg.core import ClassInfo

    classes = tuple(ClassInfo.numbered(n) for n in (7, 255))
    image = small_slide((300, 500))
    labels = segment(image, small_model(classes=classes), OPTIONS, output=tmp_path / "a.ome.zarr")
    assert labels.data.dtype == np.uint16
    assert {*np.unique(labels.data)} <= {0, 7, 255}
    assert LabelPyramid.open(tmp_path / "a.ome.zarr").not_computed == 65_535


def test_options_say_how_overlaps_are_put_together() -> None:
    assert SegmentOptions().blend == "gaussian"
    with pytest.raises(ValueError, match="none of gaussian, discard"):
        SegmentOptions(blend="mean")
