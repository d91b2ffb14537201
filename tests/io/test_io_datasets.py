"""Masks as data sets have them: colours, layers, one folder for each class, tables, names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_up import plane, save_png
from PIL import Image as Picture

from napari_medseg.core import InputError, Labels
from napari_medseg.io import match_pairs, read_labels, read_pair
from napari_medseg.io.masks.colors import find_legend
from napari_medseg.io.masks.legend import Legend, color_of, legend_of, name_color, read_legend
from napari_medseg.io.pairs.preview import preview_pairs

GREEN, YELLOW, RED, BLUE = (0, 255, 0), (255, 255, 0), (255, 0, 0), (0, 0, 255)
ORDER = [BLUE, GREEN, RED, YELLOW]
"""In which colours nobody named are numbered."""


def codes(found: Labels) -> set[str]:
    return {f.code for f in found.findings}


def draw(*colors: tuple[int, int, int], side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """A mask with a square of 12 pixels for each colour, and the values these have."""
    pixels, values = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.uint8)
    for k, color in enumerate(colors):
        place = slice(4 + 20 * (k // 2), 16 + 20 * (k // 2)), slice(4 + 20 * (k % 2), 16 + 20 * (k % 2))
        pixels[place], values[place] = color, ORDER.index(color) + 1
    return pixels, values


def save_jpeg(path: Path, pixels: np.ndarray, quality: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(pixels).save(path, quality=quality)
    return path


def test_colours_of_a_set_are_the_same_classes_in_every_file(tmp_path: Path) -> None:
    for name, colors in (("a", (GREEN, RED)), ("b", (YELLOW,)), ("c", (BLUE, GREEN))):
        save_png(tmp_path / f"{name}.png", draw(*colors)[0])
    files = sorted(tmp_path.glob("*.png"))
    legend, findings = find_legend(files)
    assert [(c.value, c.name, c.color) for c in legend.classes] == [
        (1, "blue", "#0000ff"), (2, "green", "#00ff00"), (3, "red", "#ff0000"), (4, "yellow", "#ffff00"),
    ]  # fmt: skip
    assert findings[0].code == "COLOR_MASK"
    assert "yellow #ffff00 is 4 'yellow'" in findings[0].message
    for path, colors in zip(files, ((GREEN, RED), (YELLOW,), (BLUE, GREEN)), strict=True):
        np.testing.assert_array_equal(read_labels(path, legend=legend).data, draw(*colors)[1])


def test_colours_of_one_file_are_told(tmp_path: Path) -> None:
    labels = read_labels(save_png(tmp_path / "x.png", draw(GREEN, RED)[0]))
    assert [c.name for c in labels.classes] == ["green", "red"]
    assert "COLOR_MASK" in codes(labels)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_colours_after_jpeg_are_the_nearest(tmp_path: Path, quality: int) -> None:
    pixels, values = (part.repeat(4, 0).repeat(4, 1) for part in draw(GREEN, YELLOW, RED, BLUE))
    legend, _ = find_legend([save_jpeg(tmp_path / "x.jpg", pixels, quality)])
    assert len(legend.classes) == 4
    found = read_labels(tmp_path / "x.jpg", legend=legend).data
    assert (found != values).mean() < 0.01
    inside = values > 0
    for shift in (-1, 1):
        inside &= (np.roll(values, shift, 0) == values) & (np.roll(values, shift, 1) == values)
    np.testing.assert_array_equal(found[inside], values[inside])


def test_softened_edges_take_no_third_colour() -> None:
    """Between yellow and black, where green is ahead of red by a pixel, the nearest colour is green."""
    ramp = np.clip(np.linspace(-600, 855, 40), 0, 255).astype(np.uint8)
    pixels = np.zeros((8, 40, 3), np.uint8)
    pixels[..., 0], pixels[:, :-1, 1], pixels[:, -1, 1] = ramp, ramp[1:], 255
    legend = legend_of([("#00ff00", "a"), ("#ffff00", "b"), ("#ff0000", "c")])
    assert np.unique(legend.values(pixels)).tolist() == [0, 2]


def test_an_area_of_a_colour_that_was_not_named_is_refused() -> None:
    """Nothing silently becomes the next best class."""
    legend = legend_of([("#00ff00", "gland")])
    with pytest.raises(InputError, match=r"36 pixels .* such as blue #0000ff"):
        legend.values(draw(GREEN, BLUE)[0])
    ground = legend_of([("#00ff00", "gland"), ("#000000", "background"), ("#0000ff", "background")])
    assert np.unique(ground.values(draw(GREEN, BLUE)[0])).tolist() == [0, 1]


def test_named_colours_stand_above_found_ones(tmp_path: Path) -> None:
    legend = legend_of([("#ff0000", "tumour"), ("#00ff00", "stroma")])
    labels = read_labels(save_png(tmp_path / "x.png", draw(GREEN, RED)[0]), legend=legend)
    assert [(c.value, c.name) for c in labels.classes] == [(1, "tumour"), (2, "stroma")]
    assert "COLOR_MASK" not in codes(labels)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("class_dict.csv", "name,r,g,b\nbackground,0,0,0\nstroma,0,255,0\ntumour,255,0,0\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nstroma:0,255,0::\ntumour:255,0,0::\n"),
    ],
)
def test_lists_of_colours_beside_masks_are_used(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    labels = read_labels(save_png(tmp_path / "m" / "x.png", draw(GREEN, RED)[0]))
    assert [(c.value, c.name) for c in labels.classes] == [(1, "stroma"), (2, "tumour")]
    (tmp_path / name).write_text("name,r,g,b\nx,1,2\nx:300,1,1\n")
    with pytest.raises(InputError, match=f"{name} .* no list of class colours"):
        read_legend(tmp_path)


def test_pictures_are_no_masks(tmp_path: Path) -> None:
    noisy = np.random.default_rng(0).integers(150, 190, (64, 64, 3)).astype(np.uint8)
    blank = np.clip(np.random.default_rng(0).normal(200, 3, (64, 64, 3)), 0, 255).astype(np.uint8)
    blank[:20, :20] //= 2
    for pixels in (noisy, blank):
        with pytest.raises(InputError, match="colour image, not a mask"):
            find_legend([save_jpeg(tmp_path / "x.jpg", pixels)])


def test_colours_have_names() -> None:
    assert (color_of("Green"), color_of("#0A0B0C"), color_of("femur")) == ("#00ff00", "#0a0b0c", None)
    assert (name_color("#fe0101"), name_color("#123456")) == ("red", "#123456")


def test_grey_levels_may_be_named_as_colours(tmp_path: Path) -> None:
    values = np.repeat(np.array([0, 128, 255], np.uint8), 16)
    legend = legend_of([("#808080", "one"), ("#ffffff", "two")])
    path = save_jpeg(tmp_path / "x.jpg", np.tile(values, (48, 1)))
    assert (read_labels(path, legend=legend).data != values // 127).mean() < 0.01
    with pytest.raises(InputError, match="levels between dark and bright"):
        read_labels(path)


@pytest.mark.parametrize("radius", [3, 20])
def test_jpeg_masks_are_cut_at_half_however_small(tmp_path: Path, radius: int) -> None:
    rows, columns = np.mgrid[:64, :64]
    truth = (rows - 30) ** 2 + (columns - 33) ** 2 < radius**2
    labels = read_labels(save_jpeg(tmp_path / "x.jpg", truth.astype(np.uint8) * 255))
    np.testing.assert_array_equal(labels.data, truth)
    assert "SOFT_MASK" in codes(labels)


# --- one layer, file or folder for each class


def one_hot(ground: bool) -> tuple[np.ndarray, np.ndarray]:
    values = np.resize(np.arange(4), (12, 17))
    return (np.arange(0 if ground else 1, 4)[:, None, None] == values).astype(np.uint8), values


@pytest.mark.parametrize("ground", [True, False])
@pytest.mark.parametrize("top", [1, 255])
def test_one_hot_stack_of_an_image(tmp_path: Path, ground: bool, top: int) -> None:
    layers, values = one_hot(ground)
    tifffile.imwrite(tmp_path / "m.tif", layers * np.uint8(top), photometric="minisblack")
    _, labels, slices = read_pair(save_png(tmp_path / "i.png", plane()), tmp_path / "m.tif")
    np.testing.assert_array_equal(labels.data, values)
    assert slices == (0,)
    said = next(f.message for f in labels.findings if f.code == "ONE_HOT_MASK")
    assert ("the first is background" in said) is ground


def test_a_stack_of_masks_that_are_no_layers_is_refused(tmp_path: Path) -> None:
    """T10."""
    tifffile.imwrite(tmp_path / "m.tif", np.resize(np.arange(9, dtype=np.uint8), (4, 12, 17)), photometric="minisblack")
    with pytest.raises(InputError, match="4 layers that are not masks"):
        read_pair(save_png(tmp_path / "i.png", plane()), tmp_path / "m.tif")


def sides(root: Path, names: tuple[str, ...] = ("anna", "bob")) -> tuple[Path, Path]:
    """X-rays with the masks of the left and the right lung in two folders."""
    for k, name in enumerate(names):
        save_png(root / "CXR_png" / f"{name}.png", plane(k))
        for side, columns in (("left", slice(1, 5)), ("right", slice(9, 14))):
            mask = np.zeros((12, 17), np.uint8)
            mask[3:8, columns] = 255
            save_png(root / "ManualMask" / f"{side}Mask" / f"{name}.png", mask)
    return root / "CXR_png", root / "ManualMask"


def test_a_folder_for_each_class_becomes_classes(tmp_path: Path) -> None:
    """Montgomery's left and right lungs."""
    pairs = match_pairs(*sides(tmp_path))
    assert [p.image.name for p in pairs] == ["anna.png", "bob.png"]
    _, labels, _ = read_pair(pairs[0])
    assert [(c.value, c.name) for c in labels.classes] == [(1, "left"), (2, "right")]
    assert (labels.data[4, 2], labels.data[4, 10], labels.data[0, 0]) == (1, 2, 0)


def test_an_image_without_one_class_s_mask_is_left_out_and_said(tmp_path: Path) -> None:
    """A mask that is not there does not mean that the class is not."""
    images, masks = sides(tmp_path)
    (masks / "rightMask" / "bob.png").unlink()
    pairs = match_pairs(images, masks)
    assert len(pairs) == 1
    assert pairs.unmatched[images / "bob.png"] == "It has no mask in rightMask; it is left out."


def test_folders_of_classes_hold_for_slices_too_and_overlaps_are_told(tmp_path: Path) -> None:
    images, masks = sides(tmp_path, ("1", "2", "3"))
    both = np.zeros((12, 17), np.uint8)
    both[3:8, 3:14] = 255
    save_png(masks / "rightMask" / "2.png", both)
    (pair,) = match_pairs(images, masks)
    image, labels, slices = read_pair(pair)
    assert (len(image), slices) == (3, (0, 1, 2))
    assert (labels.data[0, 4, 4], labels.data[1, 4, 4]) == (1, 2)
    assert "10 pixels" in next(f.message for f in labels.findings if f.code == "OVERLAP")


# --- names


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("ISIC_7.png", "ISIC_7_segmentation.png"),
        ("7.png", "7_gt.png"),
        ("volume-7.png", "segmentation-7.png"),
        ("img_7.png", "mask_7.png"),
        ("case_7_0000.png", "case_7.png"),
        ("ct_train_7_image.png", "ct_train_7_label.png"),
        ("x7.png", "x7_msk.png"),
    ],
)
def test_usual_names_find_each_other(tmp_path: Path, image: str, mask: str) -> None:
    for k, number in enumerate(("7", "8x", "9yz")):
        save_png(tmp_path / "i" / image.replace("7", number), plane(k, (12, 17 + k)))
        save_png(tmp_path / "m" / mask.replace("7", number), np.ones((12, 17 + k), np.uint8))
    pairs = match_pairs(tmp_path / "i", tmp_path / "m")
    assert [(p.image.name, p.mask.name) for p in pairs] == [
        (image.replace("7", n), mask.replace("7", n)) for n in ("7", "8x", "9yz")
    ]


def test_channels_of_one_image_have_no_clear_mask(tmp_path: Path) -> None:
    for name in ("img_a.png", "a_img.png"):
        save_png(tmp_path / "i" / name, plane(0, (12, 18)))
    save_png(tmp_path / "i" / "b.png", plane(1))
    for name in ("a", "b"):
        save_png(tmp_path / "m" / f"mask_{name}.png", np.ones((12, 17), np.uint8))
    pairs = match_pairs(tmp_path / "i", tmp_path / "m")
    assert [p.image.name for p in pairs] == ["b.png"]
    assert len(pairs.unmatched) == 3


# --- damaged masks


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "spoiled"])
def test_a_damaged_mask_within_a_series_counts_as_missing_and_is_told(tmp_path: Path, kind: str) -> None:
    """F1, F8."""
    for k in range(4):
        save_png(tmp_path / "i" / f"{k}.png", plane(k))
        path = save_png(tmp_path / "m" / f"{k}.png", np.eye(12, 17, dtype=np.uint8))
    path = tmp_path / "m" / "2.png"
    whole = path.read_bytes()
    spoiled = whole[:45] + bytes(10) + whole[55:]
    path.write_bytes({"empty": b"", "text": b"no picture", "cut": whole[:-25], "spoiled": spoiled}[kind])
    _, labels, slices = read_pair(tmp_path / "i", tmp_path / "m")
    assert slices == (0, 1, 3)
    assert labels.missing == {2}
    (finding,) = [f for f in labels.findings if f.code == "UNREADABLE"]
    assert finding.files == ("2.png",)


# --- tables


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Images of two patients with a table of paths as another computer had them."""
    lines = ["patient_id,image_path,mask_path,mask"]
    for patient in ("p1", "p2"):
        for k in (1, 2):
            save_png(tmp_path / "set" / patient / f"{patient}_{k}.png", plane(k))
            save_png(tmp_path / "set" / patient / f"{patient}_{k}_mask.png", np.eye(12, 17, dtype=np.uint8) * 255)
            lines.append(f"{patient},/content/data/{patient}/{patient}_{k}.png,data/{patient}/{patient}_{k}_mask.png,1")
    (tmp_path / "set" / "data_mask.csv").write_text("\n".join(lines))
    return tmp_path / "set" / "data_mask.csv"


def test_a_table_pairs_images_and_masks_and_groups_patients(table: Path) -> None:
    pairs = match_pairs(table, table.parent)
    assert [(p.image.name, [m.name for m in p.masks], p.group) for p in pairs] == [
        (name, [f"{name}_1_mask.png", f"{name}_2_mask.png"], name) for name in ("p1", "p2")
    ]
    assert pairs[0].how == "2 rows of data_mask.csv, slices of one series"
    assert match_pairs(table, table)[0] == pairs[0]
    assert [c.value for c in read_pair(pairs[0])[1].classes] == [1]


def test_folders_left_out_of_the_paths_of_a_table_are_told(table: Path) -> None:
    """A file of that name in another folder may be another image."""
    [told] = preview_pairs(table, table.parent).findings[:1]
    assert told == match_pairs(table, table.parent).findings[0]
    assert told.code == "SHORTENED_PATHS"
    assert told.message == (
        "Files of data_mask.csv were found in set without the first folders of their paths: "
        "data (4 rows), content/data (4 rows)."
    )
    table.write_text("image,mask\np1/p1_2.png,p1/p1_2_mask.png\n")
    assert match_pairs(table, table.parent).findings == ()


def test_rows_of_a_table_are_slices_of_the_series_in_their_folder(table: Path) -> None:
    """Those that no row names have no mask; masks may be called anything and lie anywhere."""
    for k in (3, 10):
        save_png(table.parent / "p1" / f"p1_{k}.png", plane(k))
    save_png(table.parent / "drawn" / "x.png", np.eye(12, 17, dtype=np.uint8) * 255)
    table.write_text("image,mask\np1/p1_10.png,drawn/x.png\np1/p1_2.png,p1/p1_2_mask.png\n")
    [pair] = match_pairs(table, table.parent)
    image, labels, slices = read_pair(pair)
    assert image.names == ("p1_1.png", "p1_2.png", "p1_3.png", "p1_10.png")
    assert slices == (1, 3)
    assert labels.data.max((1, 2)).tolist() == [0, 1, 0, 1]


def test_series_in_one_folder_are_told_apart_by_the_patients_of_a_table(table: Path) -> None:
    for patient, k in ((1, 1), (1, 2), (2, 1), (2, 2)):
        save_png(table.parent / "all" / f"p{patient}_{k}.png", plane(k))
        save_png(table.parent / "masks" / f"p{patient}_{k}.png", np.eye(12, 17, dtype=np.uint8))
    rows = [f"p{p}_{k}.png" for k in (1, 2) for p in (1, 2)]
    with_patients = [f"{row[:2]},all/{row},masks/{row}" for row in rows]
    table.write_text("\n".join(["patient,image,mask", *with_patients]))
    pairs = match_pairs(table, table.parent)
    assert [(p.group, p.series, read_pair(p)[0].names) for p in pairs] == [
        ("p1", "p1_", ("p1_1.png", "p1_2.png")), ("p2", "p2_", ("p2_1.png", "p2_2.png")),
    ]  # fmt: skip
    table.write_text("\n".join(["image,mask", *(row[3:] for row in with_patients)]))
    assert len(match_pairs(table, table.parent)) == 4, "as a folder of several series is paired"


@pytest.mark.parametrize("names", [("anna", "bob", "carl"), ("1", "2", "3")], ids=["no numbers", "sizes"])
def test_rows_of_pictures_that_are_no_series_stay_single(tmp_path: Path, names: tuple[str, ...]) -> None:
    for k, name in enumerate(names):
        shape = (12, 17 + (k if name.isdigit() else 0))
        save_png(tmp_path / "i" / f"{name}.png", plane(k, shape))
        save_png(tmp_path / "m" / f"{name}.png", np.eye(*shape, dtype=np.uint8))
    (tmp_path / "t.csv").write_text("\n".join(["image,mask", *(f"i/{n}.png,m/{n}.png" for n in names)]))
    pairs = match_pairs(tmp_path / "t.csv", tmp_path)
    assert [p.image.stem for p in pairs] == [*names]
    assert pairs[0].how == "row 2 of t.csv"
    assert len(read_pair(pairs[1])[0]) == 1


def test_rows_of_one_series_that_name_several_patients_stay_single(table: Path) -> None:
    table.write_text("\n".join(["patient,image,mask", *(f"{k},p1/p1_{k}.png,p1/p1_{k}_mask.png" for k in (1, 2))]))
    assert [(p.image.name, p.group) for p in match_pairs(table, table.parent)] == [("p1_1.png", "1"), ("p1_2.png", "2")]


@pytest.mark.parametrize("start", ["../input/hospital/", "../../", "..\\data\\", "data/../x/", "./../"])
def test_folders_of_another_computer_are_left_out_even_where_they_lead_up(table: Path, start: str) -> None:
    table.write_text(f"image,mask\n{start}p1/p1_1.png,{start}p1/p1_1_mask.png\n")
    [pair] = match_pairs(table, table.parent)
    assert [m.name for m in pair.masks] == ["p1_1_mask.png"]


def test_the_line_of_a_patient_names_few_of_many_masks(table: Path) -> None:
    for k in range(3, 31):
        save_png(table.parent / "p1" / f"p1_{k}.png", plane(k))
        save_png(table.parent / "p1" / f"p1_{k}_mask.png", np.eye(12, 17, dtype=np.uint8))
    lines = [f"p1/p1_{k}.png,p1/p1_{k}_mask.png" for k in range(1, 31)]
    table.write_text("\n".join(["image,mask", *lines, *(line.replace("p1", "p2") for line in lines[:2])]))
    shown = [row.line for row in preview_pairs(table, table.parent).rows]
    assert any("p1_1_mask.png … p1_30_mask.png (30 files) (" in line for line in shown)
    assert any("p2_1_mask.png + p2_2_mask.png (" in line for line in shown)


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "p1/../../secret.png", "/etc/secret.png", "p1/gone.png", "", "p1/\0.png", "C:\\x\\secret.png"],
)
def test_a_table_leads_nowhere_else(table: Path, path: str) -> None:
    """D13: not out of its folder."""
    save_png(table.parent.parent / "secret.png", plane())
    table.write_text(f"image,mask\np1/p1_1.png,p1/p1_1_mask.png\n{path or ','},p1/p1_2_mask.png\n".replace("\0", "%"))
    pairs = match_pairs(table, table.parent)
    assert len(pairs) == 1
    assert "Row 3" in next(iter(pairs.unmatched.values()))


def test_a_link_in_a_table_s_folder_is_not_followed_out_of_it(table: Path) -> None:
    """D13."""
    save_png(table.parent.parent / "secret.png", plane())
    (table.parent / "link.png").symlink_to(table.parent.parent / "secret.png")
    table.write_text("image,mask\np1/p1_1.png,p1/p1_1_mask.png\nlink.png,p1/p1_2_mask.png\n")
    assert len(match_pairs(table, table.parent)) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,mask\n", "holds no rows"),
        ("a,b\n1,2\n", "does not tell which columns"),
        ("image,mask,label\na.png,b.png,c.png\n", "does not tell which columns"),
        ("image,mask\na.png,b.png\n", "No row of t.csv"),
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=reason):
        match_pairs(tmp_path / "t.csv", tmp_path)


def test_a_table_in_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"image,mask\n\xff\xfe\xfa,x.png\n")
    with pytest.raises(InputError, match="no table in UTF-8"):
        match_pairs(tmp_path / "t.csv", tmp_path)


# --- the preview


def test_preview_lists_pairs_classes_and_what_is_left_out(tmp_path: Path) -> None:
    """T3, T10."""
    for k, name in enumerate(("anna", "bob", "carl", "dora")):
        save_png(tmp_path / "i" / f"{name}.png", plane(k))
    for name, shape in (("anna", (12, 17)), ("bob", (9, 9)), ("zoe", (12, 17))):
        save_png(tmp_path / "m" / f"{name}_mask.png", np.eye(*shape, dtype=np.uint8) * 2)
    save_png(tmp_path / "m" / "carl_mask.png", np.zeros((12, 17), np.uint8))
    found = preview_pairs(tmp_path / "i", tmp_path / "m")
    assert found.headline == "2 pairs with 2 labelled slices, 1 cannot be used, 2 files without partner"
    text = "\n".join(found.lines())
    assert "anna.png — anna_mask.png (mask of that name): 17 x 12, classes 2" in text
    assert "carl.png — carl_mask.png (mask of that name): 17 x 12, empty" in text
    assert "2: in 1 pair" in text
    assert "bob_mask.png has 9 x 9 pixels" in text
    assert "dora.png: No mask is called dora" in text
    assert "zoe_mask.png: No image belongs to this mask." in text


def test_long_previews_are_cut(tmp_path: Path) -> None:
    for k in range(30):
        save_png(tmp_path / "i" / f"{'abcdefghij'[k % 10]}{'xyz'[k // 10]}.png", plane(k))
        save_png(tmp_path / "m" / f"{'abcdefghij'[k % 10]}{'xyz'[k // 10]}.png", np.eye(12, 17, dtype=np.uint8))
    lines = list(preview_pairs(tmp_path / "i", tmp_path / "m").lines())
    assert "  … and 18 more" in lines


def test_colours_are_told_in_the_preview(tmp_path: Path) -> None:
    for name, colors in (("a", (GREEN, RED)), ("b", (YELLOW,))):
        save_png(tmp_path / "i" / f"{name}.png", plane(0, (48, 48)))
        save_png(tmp_path / "m" / f"{name}.png", draw(*colors)[0])
    text = "\n".join(preview_pairs(tmp_path / "i", tmp_path / "m").lines())
    assert "Colours of the masks became classes" in text
    assert "3 yellow: in 1 pair" in text


def test_legends_that_differ_are_refused(tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "class_dict.csv").write_text(f"name,r,g,b\nx,0,255,0\ny,255,0,{value}\n")
        save_png(tmp_path / name / "m.png", draw(GREEN, RED)[0])
    with pytest.raises(InputError, match="a and b are said to have different colours"):
        find_legend([tmp_path / "a" / "m.png", tmp_path / "b" / "m.png"])


@pytest.mark.parametrize("channels", [4, 5])
def test_layers_in_channels_of_a_file(tmp_path: Path, channels: int) -> None:
    values = np.resize(np.arange(channels), (12, 17))
    layers = (np.arange(channels) == values[..., None]).astype(np.uint8) * 255
    tifffile.imwrite(tmp_path / "m.tif", layers, photometric="minisblack", planarconfig="contig")
    labels = read_labels(tmp_path / "m.tif")
    np.testing.assert_array_equal(labels.data, values)
    assert "ONE_HOT_MASK" in codes(labels)


def test_a_coloured_stack_is_looked_through(tmp_path: Path) -> None:
    stack = np.stack([draw(GREEN)[0], draw(GREEN, RED)[0], draw(BLUE)[0]])
    tifffile.imwrite(tmp_path / "x.tif", stack, photometric="rgb")
    labels = read_labels(tmp_path / "x.tif")
    assert [c.name for c in labels.classes] == ["blue", "green", "red"]
    assert [labels.slice(z).max() for z in range(3)] == [2, 3, 1]


def test_a_legend_knows_when_it_is_empty() -> None:
    assert not Legend()
