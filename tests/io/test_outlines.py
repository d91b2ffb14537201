"""Outlines: filled into pixels and traced from them, from every program, on the image that they were drawn on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up import plane, save_png

from napari_medseg.cli import main
from napari_medseg.core import ClassInfo, Geometry, InputError, Labels, OutputError
from napari_medseg.io import read, read_labels, write
from napari_medseg.io.annotations import coco
from napari_medseg.io.outlines.fill import fill
from napari_medseg.io.outlines.placing import read_outline_labels
from napari_medseg.io.outlines.regions import Outlines, Polygon, Region, area, joined
from napari_medseg.io.outlines.registry import read_outlines
from napari_medseg.io.outlines.trace import trace_slice
from napari_medseg.io.outlines.writing import write_outline_labels

SQUARE = [[1, 1], [1, 5], [5, 5], [5, 1]]


def filled(regions: list[Region], shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    onto = np.zeros(shape, np.uint8)
    fill(regions, onto)
    return onto


def ring(points: Any) -> Polygon:
    return (np.array(points, float),)


def codes(found: Labels | Outlines) -> set[str]:
    return {f.code for f in found.findings}


def put(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


masks = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3))
)


@settings(max_examples=150, deadline=None)
@given(masks)
def test_tracing_and_filling_give_the_same_pixels_and_valid_polygons(values: np.ndarray[Any, Any]) -> None:
    """X3, X4."""
    regions = trace_slice(values)
    np.testing.assert_array_equal(filled(regions, values.shape), values)
    cut = [Region(tuple((joined(p),) for p in r.polygons), r.value) for r in regions]
    np.testing.assert_array_equal(filled(cut, values.shape), values)
    for region in regions:
        parts = [shapely.Polygon(p[0][:, ::-1], [h[:, ::-1] for h in p[1:]]) for p in region.polygons]
        assert shapely.MultiPolygon(parts).is_valid
        assert sum(p.area for p in parts) == area(region)


places = st.integers(-9 * 1024, 25 * 1024).map(lambda n: n / 1024)
"""No numbers so small that their squares are 0: shapely divides by them."""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(places, places), min_size=3, max_size=9))
def test_pixels_belong_to_a_polygon_when_their_centres_lie_inside(points: list[tuple[float, float]]) -> None:
    """X3: crossing itself or not, by the even-odd rule of shapely's `build_area` over its faces."""
    found = filled([Region((ring(points),), 1)], (16, 18))
    rows, columns = np.mgrid[:16, :18] + 0.5
    lines = shapely.LinearRing(np.array(points)[:, ::-1]) if len({*points}) > 2 else None
    crossings = np.zeros((16, 18), int)
    for (y0, x0), (y1, x1) in zip(points, [*points[1:], points[0]], strict=True):
        between = (min(y0, y1) <= rows) & (rows < max(y0, y1))
        with np.errstate(all="ignore"):
            crossings += between & (x0 + (rows - y0) * ((x1 - x0) / (y1 - y0) if y1 != y0 else 0) <= columns)
    near = shapely.distance(lines, shapely.points(columns, rows)) < 1e-6 if lines else np.ones((16, 18), bool)
    np.testing.assert_array_equal(found[~near], (crossings % 2)[~near])


def test_polygons_that_share_an_edge_share_no_pixel() -> None:
    """X4."""
    left, right = ring([[0, 0], [9, 0], [9, 4.5], [0, 2.5]]), ring([[0, 2.5], [9, 4.5], [9, 9], [0, 9]])
    onto = np.zeros((9, 9), np.uint8)
    assert fill([Region((left,), 1), Region((right,), 2)], onto).overlapping == 0
    assert onto.all()


def test_smaller_regions_are_seen_on_larger_ones_and_tiny_ones_are_counted() -> None:
    """X3."""
    onto = np.zeros((8, 8), np.uint8)
    small, large, tiny = ring([[2, 2], [2, 4], [4, 4]]), ring(SQUARE), ring([[7.6, 7.6], [7.7, 7.9], [7.9, 7.7]])
    done = fill([Region((small,), 2), Region((large,), 1), Region((tiny,), 1)], onto)
    assert (onto == 2).sum() == done.overlapping > 0
    assert done.empty == 1


def test_huge_and_out_of_bounds_polygons_are_cut_off_without_memory(tmp_path: Path) -> None:
    """X3, X7: NaN too."""
    square = [[-900000, -5], [900000, -5], [900000, 3], [-900000, 3]]
    features = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [points]}}
        for points in (square, [[0, 0], [float("nan"), 4], [4, 4]], [[1e300, 0], [5, 5], [0, 5]], [[0, 0], [1, 1]])
    ]
    path = put(tmp_path / "x.geojson", {"type": "FeatureCollection", "features": features})
    save_png(tmp_path / "x.png", plane())
    labels = read_outline_labels(path, image=read(tmp_path / "x.png"))
    assert (labels.data[:3] == 1).all()
    assert not labels.data[3:].any()
    assert codes(labels) == {"OUT_OF_BOUNDS", "DAMAGED_OUTLINES", "THIN_OUTLINES"}


@pytest.mark.parametrize("name", ["x.svg", "x.xml"])
@pytest.mark.parametrize("kind", ['<!DOCTYPE a SYSTEM "http://x/y.dtd">', '<!DOCTYPE a [<!ENTITY b "c">]>'])
def test_xml_with_a_document_type_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    """X1."""
    path = put(tmp_path / name, f'<?xml version="1.0"?>{kind}<svg viewBox="0 0 9 9"/>')
    with pytest.raises(InputError, match="document type"):
        read_outlines(path)


def test_long_imagescope_files_are_streamed(tmp_path: Path) -> None:
    """X2."""
    import tracemalloc

    vertices = "".join(f'<Vertex X="{k % 97}.25" Y="{k // 97 % 89}.5" Z="0"/>\n' for k in range(400))
    region = f'<Region Id="1" Type="0"><Vertices>{vertices}</Vertices></Region>'
    text = f'<Annotations><Annotation Id="1"><Regions>{region * 60}</Regions></Annotation></Annotations>'
    path = put(tmp_path / "x.xml", text)
    read_outlines(path)  # what is imported for it does not count
    tracemalloc.start()
    try:
        assert len(read_outlines(path).regions) == 60
        assert tracemalloc.get_traced_memory()[1] < 2 * path.stat().st_size
    finally:
        tracemalloc.stop()


def svg(inner: str, head: str = 'viewBox="0 0 20 20"') -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {head}>{inner}</svg>'


BOX = '<rect x="2" y="4" width="6" height="8" fill="none" stroke="red"/>'
BOX_SHAPE = shapely.box(2, 4, 8, 12)

DRAWN = {
    "hollow rectangle": (svg(BOX), BOX_SHAPE),
    "path not closed": (svg('<path d="M2 4H8V12H2" fill="none" stroke="#f00"/>'), BOX_SHAPE),
    "relative path": (svg('<path d="m2,4 6,0 0,8-6,0z"/>'), BOX_SHAPE),
    "view box": (svg(BOX, 'width="40" height="40" viewBox="0 0 20 20"'), shapely.box(4, 8, 16, 24)),
    "view box off": (svg(BOX, 'width="20" height="20" viewBox="1 2 20 20"'), shapely.box(1, 2, 7, 10)),
    "units": (svg('<rect x="1mm" y="1in" width="10mm" height="0.5in"/>', 'width="200px" height="2in"'),
              shapely.box(9.6 / 2.54, 96, 9.6 / 2.54 + 96 / 2.54, 144)),
    "letterbox": (svg(BOX, 'width="60" height="20" viewBox="0 0 20 20"'), shapely.box(22, 4, 28, 12)),
    "transforms": (svg(f'<g transform="translate(10 0)"><g transform="rotate(90 0 0) scale(1,.5)">{BOX}</g></g>'),
                   shapely.box(4, 2, 8, 8)),
    "matrix": (svg(f'<g transform="matrix(1 0 0 1 3 4)">{BOX}</g>'), shapely.box(5, 8, 11, 16)),
    "use": (svg(f'<defs><g id="a">{BOX}</g></defs><use xlink:href="#a" x="3" y="-1"/>'), shapely.box(5, 3, 11, 11)),
    "hole": (svg('<path d="M2 2H18V18H2Z M6 6H10V10H6Z" fill="none" stroke="red"/>'),
             shapely.box(2, 2, 18, 18) - shapely.box(6, 6, 10, 10)),
    "no hole where filled": (svg('<path d="M2 2H18V18H2Z M6 6H10V10H6Z"/>'), shapely.box(2, 2, 18, 18)),
    "circle of arcs": (svg('<path d="M4 10a6 6 0 1 0 12 0A6 6 0 104 10z"/>'), shapely.Point(10, 10).buffer(6, 256)),
    "circle": (svg('<circle cx="10" cy="10" r="30%"/>'), shapely.Point(10, 10).buffer(6, 256)),
    "circle of curves": (svg('<path d="M4 10C4 6.686 6.686 4 10 4S16 6.686 16 10 13.314 16 10 16 4 13.314 4 10"/>'),
                         shapely.Point(10, 10).buffer(6, 256)),
    "parabola": (svg('<path d="M2 2Q10 18 18 2"/>'),
                 shapely.Polygon([(2 + 16 * t, 2 + 32 * t * (1 - t)) for t in np.linspace(0, 1, 300)])),
    "class of a sheet": (svg('<style>.a{display:none} .b{fill:none}</style><g class="a"><rect width="9" height="9"/>'
                             f'</g><g class="b">{BOX}</g>'), BOX_SHAPE),
    "picture drawn upon": (svg(f'<image x="1" y="2" width="18" height="16" xlink:href="a.tif"/>{BOX}'),
                           shapely.box(1, 2, 7, 10)),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_svg_encloses_what_it_draws(name: str, tmp_path: Path) -> None:
    """X5, against shapely's areas; the drawing has one unnamed class."""
    text, expected = DRAWN[name]
    found = read_outlines(put(tmp_path / "x.svg", text))
    shapes = [shapely.Polygon(p[0][:, ::-1], [h[:, ::-1] for h in p[1:]]) for r in found.regions for p in r.polygons]
    drawn = shapely.union_all(shapes)
    assert shapely.symmetric_difference(drawn, expected).area < 0.01 * expected.area
    assert len(found.classes) == 1


def test_svg_is_stretched_to_its_image_only_in_proportion(tmp_path: Path) -> None:
    """X5."""
    path = put(tmp_path / "x.svg", svg(BOX))
    save_png(tmp_path / "a.png", plane(0, (40, 40)))
    labels = read_labels(path, image=read(tmp_path / "a.png"))
    assert (labels.data[8:24, 4:16] == 1).all()
    assert labels.data.sum() == 192
    assert "SCALED_OUTLINES" in codes(labels)
    save_png(tmp_path / "b.png", plane(0, (20, 40)))
    with pytest.raises(InputError, match="20 x 20 pixels"):
        read_labels(path, image=read(tmp_path / "b.png"))


def test_svg_colours_are_classes_and_told(tmp_path: Path) -> None:
    """X5."""
    found = read_outlines(put(tmp_path / "x.svg", svg(BOX + '<circle r="3" stroke="#0072B2"/><text>a</text>')))
    assert {(c.name, c.color) for c in found.classes} == {("#0072b2", "#0072b2"), ("#ff0000", "#ff0000")}
    assert codes(found) == {"CLASSES_BY_COLOR", "NO_REGIONS"}


@pytest.mark.parametrize(("colors", "meant"), [
    (("navy", "darkred"), {"#000080", "#8b0000"}), (("RebeccaPurple", "Tomato"), {"#663399", "#ff6347"}),
    (("hsl(120, 100%, 50%)", "hsl(240 100% 50%)"), {"#00ff00", "#0000ff"}),
    (("#abc", "#11223344"), {"#aabbcc", "#112233"}), (("rgb(10%, 0, 0)", "rgba(1, 2, 3, 0.5)"), {"#1a0000", "#010203"}),
])  # fmt: skip
def test_svg_knows_the_colours_of_css(colors: tuple[str, str], meant: set[str], tmp_path: Path) -> None:
    """X5: two colours are two classes, however they are written."""
    shapes = "".join(f'<circle r="{3 + n}" fill="none" stroke="{color}"/>' for n, color in enumerate(colors))
    found = read_outlines(put(tmp_path / "x.svg", svg(shapes)))
    assert {c.color for c in found.classes} == meant
    assert codes(found) == {"CLASSES_BY_COLOR"}


def test_svg_colours_that_nobody_knows_are_told(tmp_path: Path) -> None:
    """X5: what falls into one class is named; where classes have names, colours do not matter."""
    shapes = '<circle r="3" stroke="navi"{}/><circle r="4" stroke="url(#shade)"{}/><circle r="5" fill="none"{}/>'
    found = read_outlines(put(tmp_path / "x.svg", svg(shapes.format("", "", ""))))
    (told,) = [f.message for f in found.findings if f.code == "UNKNOWN_COLOR"]
    assert "'navi', 'url(#shade)'" in told
    named = shapes.format(*(f' data-class="{name}"' for name in "abc"))
    assert codes(read_outlines(put(tmp_path / "y.svg", svg(named)))) == set()


@pytest.mark.parametrize("inner", [
    '<g id="a"><use xlink:href="#a"/></g>',
    "".join(f'<g id="n{k}">' + f'<use xlink:href="#n{k + 1}"/>' * 9 + "</g>" for k in range(12)),
    '<path d="10 10 M"/>',
    '<path d="M1 1 L5"/>',
    '<rect width="3parsec" height="2"/>',
    "<g>" * 300 + "</g>" * 300,
])  # fmt: skip
def test_svg_that_makes_no_sense_or_refers_to_itself_is_refused(inner: str, tmp_path: Path) -> None:
    """X1."""
    with pytest.raises(InputError, match=r"x\.svg"):
        read_outlines(put(tmp_path / "x.svg", svg(inner)))


def test_coco_runs_go_down_the_columns_as_pycocotools_has_them() -> None:
    """X6."""
    tools = pytest.importorskip("pycocotools.mask")
    mask = np.random.default_rng(3).random((37, 23)) < 0.3
    packed = tools.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    np.testing.assert_array_equal(coco.decode_runs(packed, mask.shape), mask)
    np.testing.assert_array_equal(coco.decode_runs(packed.decode(), mask.shape), mask)
    np.testing.assert_array_equal(coco.decode_runs([3, 2, 1], (3, 2)), [[0, 1], [0, 1], [0, 0]])


def test_coco_that_is_written_is_read_by_pycocotools(tmp_path: Path) -> None:
    """X6."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tools = pytest.importorskip("pycocotools.coco")
    labels = some_labels()
    write(tmp_path / "x.json", labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *a: None)
        api = tools.COCO(str(tmp_path / "x.json"))
    for z in range(len(labels)):
        again = np.zeros(labels.data.shape[1:], np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for one in api.loadAnns(api.getAnnIds(imgIds=z + 1)):
                again[api.annToMask(one) > 0] = one["category_id"]
        np.testing.assert_array_equal(again, labels.data[z])


def some_labels() -> Labels:
    """Three slices with holes, parts that touch at corners, and two classes."""
    data = np.zeros((3, 20, 30), np.uint8)
    data[0, 2:15, 3:20], data[0, 5:9, 6:12], data[0, 6:8, 7:9] = 1, 3, 0
    data[0, 15:18, 20:24] = 1
    data[2, 0, :] = 3
    classes = (ClassInfo(value=1, name="Tümor", color="#e69f00"), ClassInfo(value=3, name="b", color="#0072b2"))
    return Labels(data, classes, Geometry(spacing=(2, 0.5, 0.5), unit="mm"), names=("1.png", "2.png", "10.png"))


def test_geojson_of_a_stack_is_valid_for_shapely_and_keeps_its_planes(tmp_path: Path) -> None:
    """X7."""
    labels = some_labels()
    write(tmp_path / "x.geojson", labels)
    found = json.loads((tmp_path / "x.geojson").read_text(encoding="utf-8"))
    areas = {1: 0.0, 3: 0.0}
    for feature in found["features"]:
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shape.is_valid
        areas[{"Tümor": 1, "b": 3}[feature["properties"]["classification"]["name"]]] += shape.area
    assert areas == {v: float((labels.data == v).sum()) for v in (1, 3)}
    np.testing.assert_array_equal(read_labels(tmp_path / "x.geojson").data, labels.data)


def test_coordinates_in_micrometres_need_an_image_that_knows_its_pixels(tmp_path: Path) -> None:
    """X7."""
    points = [[500, 500], [500, 1500], [1500, 1500], [1500, 500]]
    path = put(tmp_path / "x.geojson", {"type": "Polygon", "coordinates": [points]})
    image = tmp_path / "x.png"
    save_png(image, plane(0, (20, 20)))
    with pytest.raises(InputError, match="lies on the image"):
        read_labels(path, image=read(image))
    with pytest.raises(InputError, match="pixel size"):
        read_outline_labels(path, image=read(image), unit="um")
    labels = read_outline_labels(path, image=read(image, spacing=0.1), unit="um")
    assert labels.data[5:15, 5:15].all()
    assert labels.data.sum() == 100


def test_file_without_a_size_asks_for_the_image(tmp_path: Path) -> None:
    path = put(tmp_path / "x.geojson", {"type": "Polygon", "coordinates": [SQUARE]})
    with pytest.raises(InputError, match="size of the image") as told:
        read_labels(path)
    assert "--image" in told.value.hint


def test_imagescope_cuts_out_negative_regions(tmp_path: Path) -> None:
    """X3: one that names its region, and one that reaches beyond the region it lies on."""

    def region(number: int, x: int, y: int, side: int, extra: str = "") -> str:
        corners = ((x, y), (x + side, y), (x + side, y + side), (x, y + side))
        vertices = "".join(f'<Vertex X="{a}" Y="{b}"/>' for a, b in corners)
        return f'<Region Id="{number}" Type="0" {extra}><Vertices>{vertices}</Vertices></Region>'

    text = region(1, 0, 0, 10) + region(2, 2, 2, 3, 'NegativeROA="1" InputRegionId="1"')
    text += region(3, 8, 8, 6, 'NegativeROA="1" InputRegionId="0"')
    text = f'<Annotations><Annotation Id="7" Name="a"><Regions>{text}</Regions></Annotation></Annotations>'
    path = put(tmp_path / "x.xml", text)
    found = read_outlines(path)
    expected = np.zeros((12, 12), np.uint8)
    expected[:10, :10], expected[2:5, 2:5], expected[8:10, 8:10] = 7, 0, 0
    np.testing.assert_array_equal(filled(list(found.regions), (12, 12)), expected)


def test_one_class_has_one_value_in_all_files_of_a_folder(tmp_path: Path) -> None:
    for name, label in (("a", "stroma"), ("b", "gland"), ("c", "stroma")):
        shapes = [{"label": label, "points": SQUARE, "shape_type": "polygon"}]
        put(tmp_path / f"{name}.json", {"shapes": shapes, "imageHeight": 8, "imageWidth": 9})
    labels = read_labels(tmp_path)
    assert [int(labels.data[z].max()) for z in range(3)] == [1, 2, 1]
    assert [c.name for c in labels.classes] == ["stroma", "gland"]


@pytest.mark.parametrize("name", ["x.svg", "x.xml", "x.labelme.json"])
def test_format_of_one_slice_refuses_a_stack_and_says_what_holds_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="one slice") as told:
        write(tmp_path / name, some_labels())
    assert ".geojson" in told.value.hint
    assert not [*tmp_path.iterdir()]


def test_convert_writes_a_file_for_each_slice_and_reads_them_back(
    tmp_path: Path, make_series: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    series = make_series(["1.png", "2.png", "10.png"], shape=(20, 30))
    write(tmp_path / "masks", some_labels())
    run = [str(tmp_path / "masks"), str(tmp_path / "xml"), "--format", "asap", "--image", str(series)]
    assert main(["convert", *run]) == 0, capsys.readouterr().err
    assert {p.name for p in (tmp_path / "xml").iterdir()} == {"1.xml", "2.xml", "10.xml", "classes.json"}
    assert main(["convert", str(tmp_path / "xml"), str(tmp_path / "x.tif"), "--image", str(series)]) == 0
    again = read_labels(tmp_path / "x.tif")
    np.testing.assert_array_equal(again.data, some_labels().data)
    assert again.classes == some_labels().classes


def test_monuseg_outlines_are_their_masks(real_data: Path) -> None:
    """X4: Aperio XML against the PNG masks of the same nuclei."""
    folder = real_data / "monuseg"
    if not folder.is_dir():
        pytest.skip("monuseg is not among the real images")
    for path in sorted((folder / "xml").glob("*.xml")):
        found = read_labels(path, image=read(folder / "images" / f"{path.stem}.tif")).data > 0
        truth = read_labels(folder / "masks" / f"{path.stem}.png").data > 0
        assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) >= 0.94


def test_slide_annotations_of_other_programs_are_read(real_data: Path) -> None:
    folder = real_data / "wsi" / "annotations"
    if not folder.is_dir():
        pytest.skip("wsi is not among the real images")
    counts = {p.name: len(read_outlines(p).regions) for p in folder.iterdir() if p.name[:4] in ("asap", "qupa", "larg")}
    lines = {n for n in counts if any(word in n for word in ("dot", "point", "line"))}
    assert all(counts[n] == (0 if n in lines else counts[n]) for n in counts)
    assert all(counts[n] for n in counts.keys() - lines)
    cells = read_outlines(folder / "qupath_geojson_advanced_qupath-polygon-cell-classified.json")
    assert {c.name for c in cells.classes} == {"Cell", "Nucleus"}


def test_overwriting_a_folder_of_outlines_leaves_files_of_other_names_and_removes_what_has_no_result(
    tmp_path: Path,
) -> None:
    """W5: asks first; then a slice without a result keeps no outline of an earlier one."""
    data = np.zeros((2, 16, 16), np.uint8)
    data[:, 4:9, 4:9] = 1
    labels = Labels(data, (ClassInfo.numbered(1),), Geometry.unknown(3), names=("a.png", "b.png"))
    folder = tmp_path / "out"
    write_outline_labels(folder, labels, name="geojson")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        write_outline_labels(folder, labels, name="geojson")
    write_outline_labels(folder, replace(labels, missing=frozenset({1})), name="geojson", overwrite=True)
    assert sorted(p.name for p in folder.iterdir()) == ["a.json", "classes.json", "notes.txt"]
