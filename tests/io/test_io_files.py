"""Single files: every bit depth, damaged ones, and ones that lie."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import PICTURES, plane, save_png
from PIL import Image as Pillow
from PIL import ImageOps

from napari_medseg.core import InputError
from napari_medseg.io import Format, inspect, read, read_labels
from napari_medseg.io.budget import SLICE_LIMIT, memory_budget

Make = Callable[..., Path]
RGB = plane(3, (12, 17, 3))
IMAGEJ = {"axes": "ZYX", "spacing": 3}
OME = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 3}


def png_bytes(width: int, height: int, depth: int, color: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG put together by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + b"".join(chunk(*c) for c in chunks) + chunk(b"IEND", b"")


def packed_png(path: Path, values: np.ndarray[Any, Any], depth: int, palette: bytes = b"") -> Path:
    """Values of 1, 2 or 4 bits, grey or with a palette."""
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., -depth:].reshape(len(values), -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    chunks = [(b"PLTE", palette)] if palette else []
    data = (b"IDAT", zlib.compress(rows))
    path.write_bytes(png_bytes(values.shape[1], len(values), depth, 3 if palette else 0, *chunks, data))
    return path


def save(fmt: Format, path: Path, pixels: np.ndarray[Any, Any]) -> Path:
    """Write pixels as other programs do."""
    if fmt.name == "tiff":
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    else:
        Pillow.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("pixels", [plane(5), RGB], ids=["grey", "rgb"])
def test_every_picture_gives_the_pixels_it_holds(any_picture_format: Format, tmp_path: Path, pixels: Any) -> None:
    """F6."""
    image = read(save(any_picture_format, tmp_path / f"x{any_picture_format.suffixes[-1]}", pixels))
    assert image.axes == ("YX" if pixels.ndim == 2 else "YXC")
    assert image.meaning == ("grey" if pixels.ndim == 2 else "RGB")
    assert (image.shape, image.slice(0).dtype) == ((12, 17), np.uint8)
    if any_picture_format.name != "jpeg":
        np.testing.assert_array_equal(image.slice(0), pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (7, 5), (31, 33)])
def test_small_odd_and_thin_images(any_picture_format: Format, tmp_path: Path, shape: tuple[int, int]) -> None:
    """V6, V7, V8."""
    image = read(save(any_picture_format, tmp_path / f"x{any_picture_format.suffixes[-1]}", plane(9, shape)))
    assert image.slice(0).shape == shape


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), depth=st.sampled_from([1, 2, 4]), data=st.data())
def test_small_bit_depths_keep_their_values(tmp_path: Path, height: int, width: int, depth: int, data: Any) -> None:
    """F6, V7."""
    seed = data.draw(st.integers(0, 1000))
    values = np.random.default_rng(seed).integers(0, 2**depth, (height, width))
    path = packed_png(tmp_path / "x.png", values, depth)
    np.testing.assert_array_equal(read_labels(path).data, values)
    np.testing.assert_array_equal(read(path).slice(0), values * (255 // (2**depth - 1)))
    colors = np.arange(3 * 2**depth).astype(np.uint8)
    path = packed_png(tmp_path / "p.png", values, depth, colors.tobytes())
    np.testing.assert_array_equal(read_labels(path).data, values)
    np.testing.assert_array_equal(read(path, color=True).slice(0), colors.reshape(-1, 3)[values])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_never_clipped(tmp_path: Path, channels: int) -> None:
    """F6, V4."""
    pixels = np.random.default_rng(1).integers(0, 2**16, (9, 8, channels)).astype(np.uint16)
    pixels[0, 0] = 4095
    if channels in (2, 4):
        pixels[..., -1] = 65535
    image = read(save_png(tmp_path / "x.png", pixels if channels > 1 else pixels[..., 0]))
    expected = pixels[..., 0] if channels < 3 else pixels[..., :3]
    assert image.slice(0).dtype == np.uint16
    np.testing.assert_array_equal(image.slice(0), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_transparent_pixels_become_white(tmp_path: Path, dtype: Any, name: str) -> None:
    """F6."""
    pixels = np.zeros((4, 5, 4), dtype)
    pixels[1:, :, 3] = top = np.iinfo(dtype).max
    pixels[1:, :, 0] = 7
    path = tmp_path / name
    if name.endswith("png"):
        save_png(path, pixels)
    else:
        tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unassalpha"])
    shown = read(path).slice(0)
    assert (shown[0] == top).all()
    assert (shown[1:] == [7, 0, 0]).all()


def test_transparent_palette_and_grey_become_white(tmp_path: Path) -> None:
    """F6."""
    image = Pillow.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "p.png", transparency=0)
    shown = read(tmp_path / "p.png").slice(0)
    assert shown[0, 0].tolist() == [255, 255, 255]
    assert shown[1, 1].tolist() == [200, 100, 50]
    save_png(tmp_path / "g.png", np.dstack([plane(2), np.zeros((12, 17), np.uint8)]))
    assert (read(tmp_path / "g.png").slice(0) == 255).all()


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    """F6."""
    Pillow.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=95)
    shown = read(tmp_path / "x.jpg").slice(0)
    assert shown.shape == (16, 16, 3)
    assert shown[8, 8, 0] > 200
    assert shown[8, 8, 1] < 60


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    """F6."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:, :8] = 250
    Pillow.fromarray(pixels).save(tmp_path / "x.jpg", exif=exif, quality=95)
    image = read(tmp_path / "x.jpg")
    assert image.shape == (32, 16)
    assert image.slice(0)[2, 8] > 200, "left became top"


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_orientation_is_as_pillow_turns_it(tmp_path: Path, turn: int) -> None:
    """F6."""
    exif = Pillow.Exif()
    exif[0x0112] = turn
    pixels = np.kron(np.array([[0, 90, 180], [250, 30, 120]], np.uint8), np.ones((16, 16), np.uint8))
    Pillow.fromarray(pixels).save(tmp_path / "x.jpg", exif=exif, quality=95)
    with Pillow.open(tmp_path / "x.jpg") as opened:
        np.testing.assert_array_equal(read(tmp_path / "x.jpg").slice(0), np.asarray(ImageOps.exif_transpose(opened)))


def test_damaged_exif_does_not_matter(tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x30\0\x12\x01\x03\0\x01"
    Pillow.fromarray(plane(0)).save(tmp_path / "x.jpg", exif=exif)
    assert read(tmp_path / "x.jpg").slice(0).shape == (12, 17)


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.jpg", "x.bmp"])
def test_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    """F8."""
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"{name} is empty"):
        read(tmp_path / name)


def test_wrong_suffix_is_told_by_content(tmp_path: Path) -> None:
    """F8."""
    save_png(tmp_path / "x.png", plane(0)).rename(tmp_path / "x.tif")
    with pytest.raises(InputError, match=r"x\.tif is a PNG image, not a TIFF image.*\.png"):
        read(tmp_path / "x.tif")
    (tmp_path / "y.png").write_text("hello, this is text")
    with pytest.raises(InputError, match=r"y\.png is not a PNG image"):
        read(tmp_path / "y.png")
    (tmp_path / "z.xyz").touch()
    with pytest.raises(InputError, match=r"z\.xyz.*Known are .*\.png"):
        read(tmp_path / "z.xyz")


def test_folder_named_like_a_file_is_a_folder(tmp_path: Path) -> None:
    """F8."""
    for n in range(3):
        save_png(tmp_path / "x.tif" / f"{n}.png", plane(n))
    assert len(read(tmp_path / "x.tif")) == 3


@pytest.mark.parametrize("fmt", PICTURES, ids=lambda f: f.name)
def test_truncated_slice_counts_as_missing_and_the_rest_loads(tmp_path: Path, fmt: Format) -> None:
    """F1."""
    for n in range(4):
        save(fmt, tmp_path / f"{n}{fmt.suffixes[-1]}", plane(n, (64, 64)))
    path = tmp_path / f"2{fmt.suffixes[-1]}"
    path.write_bytes(path.read_bytes()[:-300])
    image = read(tmp_path)
    assert image.missing == {2}
    finding = next(f for f in image.findings if f.code == "UNREADABLE")
    assert finding.files == (path.name,)
    assert not image.slice(2).any()
    assert image.slice(3).any()
    with pytest.raises(InputError, match=path.name):
        read(path)


@pytest.mark.parametrize("compression", [None, "zlib", "jpeg"])
def test_truncated_stack_keeps_its_whole_slices(tmp_path: Path, compression: str | None) -> None:
    """F1."""
    stack = np.stack([plane(z, (64, 64)) for z in range(5)])
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as tiff:
        for page in stack:
            tiff.write(page, compression=compression, contiguous=False, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[3]
        end = page.dataoffsets[-1] + page.databytecounts[-1]
        last = tiff.pages[4]
        cut = last.dataoffsets[-1] + last.databytecounts[-1] - 20
        assert cut > end
    path.write_bytes(path.read_bytes()[:cut])
    image = read(path)
    assert (len(image), image.missing) == (5, {4})
    assert image.slice(3).any()
    path.write_bytes(path.read_bytes()[: end + 10])
    image = read(path)
    assert image.missing | {f.code for f in image.findings} & {"MISSING_SLICES"}, "a page that is gone is told"


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_corruption_found_while_decoding_is_loud(tmp_path: Path, name: str) -> None:
    """F1."""
    path = tmp_path / name
    if name.endswith("png"):
        save_png(path, plane(0, (64, 64)))
    else:
        tifffile.imwrite(path, plane(0, (64, 64)), compression="zlib")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    image = read(path)
    with pytest.raises(InputError, match=rf"{name} is damaged.*Copy it again"):
        image.slice(0)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), fmt=st.sampled_from(PICTURES))
def test_any_damage_gives_one_sentence_or_pixels(tmp_path: Path, data: Any, fmt: Format) -> None:
    """F1, F3."""
    path = save(fmt, tmp_path / f"x{fmt.suffixes[-1]}", plane(0, (24, 24)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    said = path.name
    try:
        read(path).slice(0)
    except InputError as error:
        said = str(error)
    assert path.name in said


def lying_tiff(path: Path, size: int) -> Path:
    """A few hundred bytes that claim ``size`` x ``size`` pixels."""
    tifffile.imwrite(path, plane(0, (4, 4)))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages[0].tags[tag].overwrite(size)
    return path


def test_small_file_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    """F3."""
    with pytest.raises(InputError, match="30000 x 30000"):
        read(lying_tiff(tmp_path / "x.tif", 30000))
    (tmp_path / "x.png").write_bytes(png_bytes(30000, 30000, 8, 0, (b"IDAT", zlib.compress(bytes(100)))))
    with pytest.raises(InputError, match=r"30000 x 30000.*too many for its"):
        read(tmp_path / "x.png")


def test_claim_beyond_the_memory_budget_is_refused_with_the_figure(tmp_path: Path) -> None:
    """F4."""
    assert memory_budget() <= SLICE_LIMIT
    with pytest.raises(InputError, match=r"400000 x 400000 pixels, which take 149\.0 GiB .* are allowed"):
        read(lying_tiff(tmp_path / "x.tif", 400000))


def test_image_beyond_pillows_limit_opens_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F5."""
    limit = Pillow.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
    for name in ("x.png", "x.jpg", "x.bmp"):
        Pillow.new("P" if name == "x.png" else "L", (64, 64), 7).save(tmp_path / name)
        assert read(tmp_path / name).slice(0).shape[:2] == (64, 64)
    monkeypatch.undo()
    assert limit == Pillow.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("saved", "spacing", "unit"),
    [
        ({"imagej": True, "resolution": (4, 2), "metadata": IMAGEJ | {"unit": "mm"}}, (3, 0.5, 0.25), "mm"),
        ({"imagej": True, "resolution": (4, 2), "metadata": IMAGEJ | {"unit": "um"}}, (3, 0.5, 0.25), "um"),
        ({"ome": True, "metadata": OME}, (3, 0.5, 0.25), "um"),
        ({"resolution": (40, 20), "resolutionunit": "CENTIMETER"}, (0.25, 0.5, 0.25), "mm"),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, (1, 1, 1), "pixel"),
        ({}, (1, 1, 1), "pixel"),
    ],
    ids=["imagej mm", "imagej um", "ome", "per cm", "print", "none"],
)  # fmt: skip
def test_tiff_tags_give_the_spacing(tmp_path: Path, saved: dict[str, Any], spacing: Any, unit: str) -> None:
    stack = np.stack([plane(z) for z in range(4)])
    tifffile.imwrite(tmp_path / "x.tif", stack, photometric="minisblack", **saved)
    image = read(tmp_path / "x.tif")
    assert (image.axes, image.geometry.unit) == ("ZYX", unit)
    assert image.geometry.spacing == pytest.approx(spacing)
    known = "NO_SPACING" not in {f.code for f in image.findings}
    assert known == bool(saved.get("imagej") or saved.get("ome")), "a slice distance that nothing tells is flagged"


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_tiff_stacks_of_any_type(tmp_path: Path, byteorder: Any, bigtiff: bool, dtype: str) -> None:
    stack = np.stack([plane(z) for z in range(3)]).astype(dtype)
    stack[1, 1, 1] = 100 if dtype == "uint8" else 4095
    tifffile.imwrite(tmp_path / "x.tif", stack, byteorder=byteorder, bigtiff=bigtiff, photometric="minisblack")
    image = read(tmp_path / "x.tif")
    np.testing.assert_array_equal(np.asarray(image.data), stack)
    assert image.slice(1).dtype == np.dtype(dtype)


@pytest.mark.parametrize("order", ["ZCYX", "CZYX"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_channels_in_pages_become_channels_of_slices(tmp_path: Path, order: str, compression: str | None) -> None:
    data = np.random.default_rng(0).integers(0, 99, (3, 2, 8, 9)).astype(np.uint8)
    stored = data if order == "ZCYX" else data.swapaxes(0, 1)
    tifffile.imwrite(tmp_path / "x.ome.tif", stored, ome=True, metadata={"axes": order}, compression=compression)
    image = read(tmp_path / "x.ome.tif")
    assert (image.axes, image.meaning) == ("ZYXC", "channels")
    np.testing.assert_array_equal(np.asarray(image.data), np.moveaxis(data, 1, -1))


def test_pages_alike_are_a_stack_whoever_wrote_them(tmp_path: Path) -> None:
    stack = np.stack([plane(z) for z in range(6)])
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for page in stack:
            tiff.write(page, contiguous=False)
    tifffile.imwrite(tmp_path / "b.tif", stack, imagej=True)
    for name in ("a.tif", "b.tif"):
        image = read(tmp_path / name)
        assert image.axes == "ZYX"
        np.testing.assert_array_equal(np.asarray(image.data), stack)


def test_further_images_of_another_size_are_told(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
        tiff.write(plane(1))
        tiff.write(plane(2, (3, 4)))
    image = read(tmp_path / "x.tif")
    assert image.shape == (12, 17)
    assert "OTHER_IMAGES" in {f.code for f in image.findings}


def test_stacks_at_several_times_are_chosen_one_by_one(tmp_path: Path) -> None:
    data = np.arange(2 * 3 * 8 * 9, dtype=np.uint8).reshape(2, 3, 1, 8, 9)
    tifffile.imwrite(tmp_path / "x.tif", data, imagej=True, metadata={"axes": "TZCYX"})
    with pytest.raises(InputError, match="'time 1', 'time 2'"):
        read(tmp_path / "x.tif")
    np.testing.assert_array_equal(read(tmp_path / "x.tif", series="time 2").data, data[1, :, 0])


def test_other_axes_are_refused_with_their_names(tmp_path: Path) -> None:
    data = np.zeros((2, 3, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", data, metadata={"axes": "QZYX"}, photometric="minisblack")
    with pytest.raises(InputError, match="QZYX"):
        read(tmp_path / "x.tif")


def test_planar_rgb_palette_and_inverted_tiffs(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read(tmp_path / "p.tif").slice(0), RGB)
    tifffile.imwrite(tmp_path / "w.tif", plane(3), photometric="miniswhite")
    np.testing.assert_array_equal(read(tmp_path / "w.tif").slice(0), 255 - plane(3))
    table = np.zeros((3, 256), np.uint16)
    table[0] = np.arange(256) * 256
    tifffile.imwrite(tmp_path / "c.tif", plane(3), photometric="palette", colormap=table)
    np.testing.assert_array_equal(read(tmp_path / "c.tif").slice(0)[..., 0], plane(3))
    np.testing.assert_array_equal(read_labels(tmp_path / "c.tif").data, plane(3))
    with Pillow.fromarray(plane(3) > 100) as bits:
        bits.save(tmp_path / "b.tif")
    np.testing.assert_array_equal(read(tmp_path / "b.tif").slice(0) > 0, plane(3) > 100)
    np.testing.assert_array_equal(read_labels(tmp_path / "b.tif").data, plane(3) > 100)


def test_virtual_imagej_stack_is_read_slice_by_slice(tmp_path: Path) -> None:
    """ImageJ writes one directory for a whole stack of more than 4 GB; here a small one without the others."""
    stack = np.stack([plane(z) for z in range(4)]).astype(np.uint16)
    description = b"ImageJ=1.54f\nimages=4\nslices=4\nunit=mm\nspacing=2.0\n\0"
    tifffile.imwrite(
        tmp_path / "x.tif",
        stack[0],
        description=description,
        metadata=None,
        byteorder=">",
        resolution=(2, 2),
        software=False,
    )
    with (tmp_path / "x.tif").open("ab") as file:
        file.write(stack[1:].astype(">u2").tobytes())
    image = read(tmp_path / "x.tif")
    assert image.geometry.spacing == (2, 0.5, 0.5)
    np.testing.assert_array_equal(np.asarray(image.data), stack)


def test_png_with_bytes_after_its_end_is_whole(tmp_path: Path) -> None:
    path = save_png(tmp_path / "x.png", plane(0))
    path.write_bytes(path.read_bytes() + b"trailing")
    np.testing.assert_array_equal(read(path).slice(0), plane(0))


def test_png_of_either_encoder(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(RGB).save(buffer, "PNG", optimize=True)
    assert np.array_equal(imagecodecs.png_decode(buffer.getvalue()), RGB)


def test_a_lone_stack_in_a_folder_is_that_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.stack([plane(z) for z in range(4)]), photometric="minisblack")
    assert read(tmp_path).shape == (4, 12, 17)
    tifffile.imwrite(tmp_path / "y.tif", np.stack([plane(z) for z in range(4)]), photometric="minisblack")
    assert inspect(tmp_path).kind == "images"
    with pytest.raises(InputError, match="2 files of several slices"):
        read(tmp_path)


def test_damage_is_told_by_us_and_not_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """F1: the TIFF reader's own log stays silent while we read, and is heard by others."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.stack([plane(z, (48, 48)) for z in range(5)]))
    path.write_bytes(path.read_bytes()[: 48 * 48 * 3 + 1000])
    image = read(path)
    assert image.missing == {3, 4}
    assert [f.code for f in image.findings if f.code != "NO_SPACING"] == ["UNREADABLE"], "five slices are named"
    image.slice(0)
    (tmp_path / "junk.tif").write_bytes(b"II*\x00" + bytes(range(200)))
    with pytest.raises(InputError, match=r"junk\.tif is damaged \(its directories make no sense\)"):
        read(tmp_path / "junk.tif")
    assert not caplog.records
    assert capfd.readouterr().err == ""
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
    assert caplog.records


@pytest.mark.parametrize("start", range(0, 200, 14))
def test_damaged_directory_within_a_stack_keeps_the_slices_before_it(tmp_path: Path, start: int) -> None:
    """F1: what is given is right, what is lost is told."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.stack([plane(z, (48, 48)) for z in range(5)]), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start += tiff.pages[2].offset
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xff" * 20
    path.write_bytes(content)
    image = read(path)
    assert len(image) == 5 or "MISSING_SLICES" in {f.code for f in image.findings}
    told = dict.fromkeys(image.missing, "")
    for z in range(len(image)):
        try:
            pixels = image.slice(z)
        except InputError as error:
            told[z] = str(error)
        if z not in told:
            np.testing.assert_array_equal(pixels, plane(z, (48, 48)))
    assert not told.keys() & {0, 1}
    assert all("x.tif is damaged" in said for said in told.values() if said)


def test_orientation_of_a_tiff_is_told(tmp_path: Path) -> None:
    """F6: pixels stay as stored, so that masks fit those of other programs, and the user knows."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, plane(0, (10, 20)), extratags=[(274, "H", 1, 6, True)])
    image = read(path)
    assert image.shape == (10, 20)
    assert next(f for f in image.findings if f.code == "ORIENTATION").files == ("x.tif",)
    tifffile.imwrite(path, plane(0, (10, 20)), extratags=[(274, "H", 1, 1, True)])
    assert "ORIENTATION" not in {f.code for f in read(path).findings}
