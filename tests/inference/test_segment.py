"""Whole runs: image and model in, labels out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as Picture

from napari_medseg.core import Cancelled, ClassInfo, Image, InputError, ModelError, Normalisation, Progress
from napari_medseg.inference import ProbabilityStack, SegmentOptions, segment
from napari_medseg.io import read
from napari_medseg.models import Model

MakeImage = Callable[..., Image]
MakeModel = Callable[..., Model]
Stack = npt.NDArray[np.uint8]


def test_stack_is_segmented_slice_by_slice(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    names = tuple(f"{z}.png" for z in range(12))
    image = make_image(stack, pixel_size=0.7, names=names)
    reports: list[Progress] = []
    labels = segment(image, make_model(), report=reports.append)
    np.testing.assert_array_equal(labels.data, stack > 50)
    assert labels.data.dtype == np.uint8
    assert labels.geometry == image.geometry
    assert labels.names == names
    assert not labels.missing
    finished = [r for r in reports if r.result is not None]
    assert [r.region for r in finished] == [(z,) for z in range(12)]
    assert [r.done for r in finished] == list(range(1, 13))
    assert all(r.total == 12 for r in reports)
    assert finished[0].message.startswith("CPU, ")
    for report in finished:
        assert report.region is not None
        np.testing.assert_array_equal(report.result, labels.data[report.region])


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (20, 31), (33, 65), (63, 100)])
def test_any_size_works(make_image: MakeImage, make_model: MakeModel, shape: tuple[int, int]) -> None:
    """V6, V7, V8."""
    data = np.random.default_rng(0).integers(0, 100, shape).astype(np.uint8)
    data[data == 50] = 51
    labels = segment(make_image(data), make_model(tile=32))
    np.testing.assert_array_equal(labels.data, data > 50)


def test_real_network_takes_a_slice_one_pixel_wide(make_image: MakeImage) -> None:
    """V6, V8."""
    from napari_medseg.models import build_network, start_card

    card = start_card("unet:tu-resnet10t", channels=1, classes=(ClassInfo.numbered(1),), name="small")
    labels = segment(make_image(np.arange(50, dtype=np.uint8)[:, None]), Model(card, build_network(card), None))  # type: ignore[arg-type]
    assert labels.data.shape == (50, 1)


def test_class_values_are_the_cards(make_image: MakeImage, make_model: MakeModel) -> None:
    """V5."""
    classes = tuple(ClassInfo(value=v, name=str(v), color="#ff0000") for v in (7, 300))
    data = np.repeat(np.array([10, 50, 90], np.uint8), 32).reshape(3, 32).repeat(4, 0)
    labels = segment(make_image(data), make_model(classes=classes))
    assert labels.data.dtype == np.uint16
    assert np.unique(labels.data).tolist() == [0, 7, 300]
    assert labels.classes == classes


@pytest.mark.parametrize("at", [1, 6, 12])
def test_cancel_keeps_finished_slices(make_image: MakeImage, make_model: MakeModel, stack: Stack, at: int) -> None:
    """G2: at the first, a middle and the last slice; no thread stays behind."""
    finished: dict[int, Any] = {}

    def report(progress: Progress) -> None:
        if progress.result is not None and progress.region is not None:
            finished[progress.region[0]] = progress.result  # type: ignore[index]
            if len(finished) == at:
                raise Cancelled

    with pytest.raises(Cancelled):
        segment(make_image(stack), make_model(), report=report)
    assert sorted(finished) == list(range(at))
    for z, result in finished.items():
        np.testing.assert_array_equal(result, stack[z] > 50)
    assert not [t for t in threading.enumerate() if t.name.startswith("read-slices")]


def test_cancel_is_heard_between_the_tiles_of_one_slice(make_image: MakeImage, make_model: MakeModel) -> None:
    """G2: one large slice need not be finished first."""
    network = torch.nn.Conv2d(1, 2, 1)
    passes: list[int] = []
    network.register_forward_hook(lambda *args: passes.append(1))
    reports = []

    def report(progress: Progress) -> None:
        reports.append(progress)
        if len(passes) >= 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        segment(
            make_image(np.zeros((256, 256), np.uint8)),
            make_model(network),
            tile=32,
            batch=1,
            precision="fp32",
            report=report,
        )
    assert len(passes) == 3
    assert all(r.result is None for r in reports)


def test_unreadable_slice_is_missing_and_the_run_goes_on(
    make_image: MakeImage, make_model: MakeModel, stack: Stack, unreadable: Callable[..., Any]
) -> None:
    image = make_image(unreadable(stack, {0, 6}), names=tuple(f"{z}.png" for z in range(12)), missing=frozenset({3}))
    reports: list[Progress] = []
    labels = segment(image, make_model(), report=reports.append)
    assert labels.missing == {0, 3, 6}
    np.testing.assert_array_equal(np.delete(labels.data, [0, 3, 6], 0), np.delete(stack > 50, [0, 3, 6], 0))
    assert not labels.data[[0, 3, 6]].any()
    finding = next(f for f in labels.findings if f.code == "UNREADABLE")
    assert finding.files == ("0.png", "6.png")
    assert reports[-1].done == reports[-1].total == 12
    assert [r.message for r in reports if "Slice 6" in r.message]


def test_nothing_readable_is_an_error(
    make_image: MakeImage, make_model: MakeModel, stack: Stack, unreadable: Callable[..., Any]
) -> None:
    with pytest.raises(InputError, match="None of the 12 chosen slices can be read"):
        segment(make_image(unreadable(stack, set(range(12)))), make_model())
    with pytest.raises(InputError, match="None of the 2"):
        segment(make_image(stack, missing=frozenset({0, 1})), make_model(), slices=":2")


def test_slices_that_were_not_asked_for_are_missing(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    labels = segment(make_image(stack), make_model(), slices="4:6")
    assert labels.missing == set(range(12)) - {4, 5}
    np.testing.assert_array_equal(labels.data[4:6], stack[4:6] > 50)
    assert not labels.data[6:].any()


def test_pixel_size_goes_there_and_back(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    """M10: the network sees its own pixel size, the labels are on the image's grid."""
    seen: list[tuple[int, ...]] = []
    model = make_model(pixel_size=0.5)
    model.network.register_forward_hook(lambda module, args, output: seen.append(tuple(args[0].shape[-2:])))
    labels = segment(make_image(stack, pixel_size=1.0), model)
    assert set(seen) == {(96, 96)}  # 80 x 96, padded to multiples of 32
    assert labels.data.shape == stack.shape
    np.testing.assert_array_equal(labels.data, stack > 50)
    assert [f.code for f in labels.findings] == ["PIXEL_SIZE"]


def test_values_that_are_not_numbers_are_counted(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    """V1."""
    data = stack.astype(np.float32)
    data[2, 0, :5] = np.nan
    data[7, 0, 0] = np.inf
    labels = segment(make_image(data), make_model())
    np.testing.assert_array_equal(labels.data, stack > 50)
    (finding,) = labels.findings
    assert finding.code == "NOT_A_NUMBER"
    assert "6 pixels in 2 slices" in finding.message


def test_constant_image_says_that_its_labels_mean_nothing(make_image: MakeImage, make_model: MakeModel) -> None:
    """V2."""
    labels = segment(make_image(np.full((2, 8, 8), 5, np.uint8)), make_model(normalisation=Normalisation()))
    assert [f.code for f in labels.findings] == ["CONSTANT_IMAGE"]


def test_channels_must_fit(make_image: MakeImage, make_model: MakeModel) -> None:
    """M3: grey in three channels is grey; colours are not."""
    rgb = np.random.default_rng(0).integers(0, 99, (2, 16, 16, 3)).astype(np.uint8)
    with pytest.raises(ModelError, match="needs grey, this is RGB"):
        segment(make_image(rgb, "ZYXC"), make_model())
    with pytest.raises(ModelError, match="needs RGB, this is grey"):
        segment(make_image(rgb[..., 0]), make_model(channels=3))
    with pytest.raises(ModelError, match="this is grey") as raised:
        segment(make_image(rgb[..., 0]), make_model(channels=2))
    assert "join the images of all channels" in raised.value.hint
    grey = np.repeat(rgb[..., :1], 3, -1)
    np.testing.assert_array_equal(segment(make_image(grey, "ZYXC"), make_model()).data, grey[..., 0] > 50)
    segment(make_image(rgb, "ZYXC"), make_model(channels=3))


def test_files_whose_channels_are_alike_fit_models_of_so_many(tmp_path: Path, make_model: MakeModel) -> None:
    """A scanner's sequences, two of which are copies of the third."""
    grey = np.random.default_rng(0).integers(0, 99, (16, 16)).astype(np.uint8)
    Picture.fromarray(np.repeat(grey[..., None], 3, -1)).save(tmp_path / "a.png")
    image = read(tmp_path / "a.png")
    assert (image.channels, image.alike) == (1, 3)
    labels = segment(image, make_model(channels=3))
    np.testing.assert_array_equal(labels.data, grey > 50)
    assert [f.code for f in labels.findings if f.code == "ALIKE_CHANNELS"]
    with pytest.raises(ModelError, match="needs 5 channels, this is grey"):
        segment(image, make_model(channels=5))
    Picture.fromarray(grey).save(tmp_path / "b.png")
    with pytest.raises(ModelError, match="needs RGB, this is grey"):
        segment(read(tmp_path / "b.png"), make_model(channels=3))


def test_what_another_machine_took_is_said(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    image, model = make_image(stack), make_model(modality="CT")
    for modality, codes in (("CT", []), ("", []), ("MR", ["OTHER_KIND"])):
        labels = segment(replace(image, modality=modality), model)
        assert [f.code for f in labels.findings if f.code == "OTHER_KIND"] == codes
    assert "for CT, this is MR" in str([f.message for f in labels.findings])


def test_channels_of_other_names_are_said_and_swapped_ones_refused(
    make_image: MakeImage, make_model: MakeModel, stack: Stack
) -> None:
    """As they are written does not matter, and nothing is concluded from channels without names."""
    image = make_image(np.stack([stack] * 2, -1), "ZYXC", meaning="channels")
    model = make_model(channels=2, channel_names=("t1", "flair"))
    for names, codes in (((), []), (("T1", "FLAIR"), []), (("t-1", "flair"), []), (("t1", "t2"), ["OTHER_CHANNELS"])):
        labels = segment(replace(image, channel_names=names), model)
        assert [f.code for f in labels.findings if f.code == "OTHER_CHANNELS"] == codes
    assert "has learnt from t1, flair, this has t1, t2" in str([f.message for f in labels.findings])
    with pytest.raises(
        ModelError, match=r"has the channels FLAIR, T1, the model .* has learnt from t1, flair"
    ) as raised:
        segment(replace(image, channel_names=("FLAIR", "T1")), model)
    assert raised.value.hint == "Save it with its channels in the order of the model."
    joined = replace(image, channel_names=("FLAIR", "T1"), source=Path("f.nii"), others=(Path("t.nii"),))
    with pytest.raises(ModelError, match=r"f\.nii has the channels") as raised:
        segment(joined, model)
    assert raised.value.hint == "Give its files in the order of the model."
    assert not segment(replace(image, channel_names=("a", "b")), make_model(channels=2)).findings


def test_neighbouring_slices_reach_the_network(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    labels = segment(make_image(stack), make_model(neighbours=2))
    np.testing.assert_array_equal(labels.data, stack > 50)


def test_probabilities_come_with_the_labels(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    image, model = make_image(stack), make_model(count=2)
    taken = ProbabilityStack(image, model.card)
    labels = segment(image, model, probabilities=taken, slices=":9")
    assert taken.data.shape == (2, *stack.shape)
    assert taken.data.dtype == np.float16
    assert np.isnan(taken.data[:, 9:]).all()
    np.testing.assert_array_equal(taken.data[1, :9] > 0.5, labels.data[:9] == 2)


def test_single_image_has_one_result(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    image, model = make_image(stack[0]), make_model()
    taken = ProbabilityStack(image, model.card)
    reports: list[Progress] = []
    labels = segment(image, model, report=reports.append, probabilities=taken)
    np.testing.assert_array_equal(labels.data, stack[0] > 50)
    assert taken.data.shape == (1, 40, 48)
    assert reports[-1].region == ()


def test_specks_go_and_holes_close(make_image: MakeImage, make_model: MakeModel) -> None:
    data = np.full((40, 40), 10, np.uint8)
    data[5:20, 5:20] = 90
    data[10, 10] = 10
    data[30, 30:33] = 90
    expected = np.zeros((40, 40), bool)
    expected[5:20, 5:20] = True
    labels = segment(make_image(data), make_model(), smallest=4, fill_holes=True)
    np.testing.assert_array_equal(labels.data, expected)


def test_settings_replace_those_of_the_options(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    labels = segment(make_image(stack), make_model(), SegmentOptions(slices=":2", device="cpu"), slices="3:4")
    assert labels.missing == set(range(12)) - {3}
    with pytest.raises(InputError, match=r"^tile: "):
        segment(make_image(stack), make_model(), tile=5)
    with pytest.raises(InputError, match=r"^tyle: "):
        segment(make_image(stack), make_model(), tyle=64)


def test_reader_errors_reach_the_caller(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    class Breaks:
        shape, ndim, dtype = stack.shape, 3, stack.dtype

        def __getitem__(self, z: int) -> Stack:
            if z == 9:
                raise ZeroDivisionError
            return stack[z]

    with pytest.raises(ZeroDivisionError):
        segment(make_image(Breaks()), make_model())
    assert not [t for t in threading.enumerate() if t.name.startswith("read-slices")]


def test_network_in_training_stays_in_training(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    model = make_model()
    model.network.train()
    segment(make_image(stack), model)
    assert model.network.training


def faint(stack: Stack, *places: int) -> Stack:
    """The stack with slices whose square is hardly told from the ground."""
    data = stack.copy()
    for z in places:
        data[z][data[z] > 50] = 52
    return data


def test_suggestions_are_the_slices_of_most_doubt(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    image, model = make_image(faint(stack, 8)), make_model()
    assert segment(image, model).look_at == ()
    labels = segment(image, model, suggest=3)
    assert labels.look_at[0] == 8
    assert len(labels.look_at) == 3
    assert segment(image, model, suggest=3).look_at == labels.look_at
    np.testing.assert_array_equal(labels.data, segment(image, model).data)


def test_labelled_slices_are_not_suggested(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    labels = segment(make_image(faint(stack, 8)), make_model(), suggest=12, labelled=[8])
    assert sorted(labels.look_at) == [*range(8), 9, 10, 11]


def test_every_finished_slice_reports_its_doubt(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    """What a cancelled run has told is enough for suggestions."""
    reports: list[Progress] = []
    segment(make_image(stack), make_model(), suggest=1, report=reports.append, batch=5)
    finished = [r.metrics for r in reports if r.result is not None]
    assert all({"border", "patch", "found"} <= metrics.keys() for metrics in finished)
    assert ["before" in metrics for metrics in finished] == [False] * 2 + [True] * 10
    reports.clear()
    segment(make_image(stack), make_model(), report=reports.append)
    assert not any(r.metrics for r in reports)


def test_only_slices_with_a_result_are_suggested(
    make_image: MakeImage, make_model: MakeModel, stack: Stack, unreadable: Callable[..., Any]
) -> None:
    """S3: missing and unreadable slices, and those that were not asked for."""
    image = make_image(unreadable(stack, {4}), missing=frozenset({6}))
    labels = segment(image, make_model(), suggest=99, slices="2:9")
    assert sorted(labels.look_at) == [2, 3, 5, 7, 8]


@pytest.mark.parametrize("slices", ["", "3:4"])
def test_one_slice_can_be_suggested(make_image: MakeImage, make_model: MakeModel, stack: Stack, slices: str) -> None:
    """S7."""
    image = make_image(stack if slices else stack[0])
    assert segment(image, make_model(), suggest=6, slices=slices).look_at == (3 if slices else 0,)


def test_class_found_nowhere_is_said(make_image: MakeImage, make_model: MakeModel, stack: Stack) -> None:
    image, model = make_image(np.minimum(stack, 60)), make_model(count=2)
    labels = segment(image, model, suggest=2)
    assert [f.message for f in labels.findings] == ["Found in none of the 12 slices: class 2."]
    assert len(labels.look_at) == 2
    assert not segment(image, model).findings
    nothing = segment(make_image(np.minimum(stack, 20)), model, suggest=2)
    assert "class 1, class 2" in nothing.findings[0].message
    assert len(nothing.look_at) == 2


def test_suggestions_cost_no_pass_through_the_network(
    make_image: MakeImage, make_model: MakeModel, stack: Stack
) -> None:
    def passes(suggest: int) -> int:
        model, seen = make_model(), []
        model.network.register_forward_hook(lambda *args: seen.append(1))
        segment(make_image(stack), model, suggest=suggest, precision="fp32", batch=1)
        return len(seen)

    assert passes(5) == passes(0)
