"""Slides: pyramids of any size read tile by tile, what cannot be read told, and large pictures in one piece."""

from __future__ import annotations

import struct
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from made_up import plane
from made_up_slides import GLASS, coded_tile, put_tiles, tissue_at, write_slide
from PIL import Image as Pillow

from napari_medseg.core import Image, InputError
from napari_medseg.io import blocks, read, read_set
from napari_medseg.io.blocks import BlockReader, read_region
from napari_medseg.io.levels import PieceLevel
from napari_medseg.io.pyramid import LARGE, halve_mean
from napari_medseg.io.tiff.segments import Segments

TISSUE = ((100, 200, 500, 600),)
SMALL = {"side": (700, 1000), "tissue": TISSUE, "steps": (2, 5)}


def codes(image: Image) -> set[str]:
    return {f.code for f in image.findings}


def whole(level: Any) -> np.ndarray[Any, Any]:
    return np.asarray(level)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, int]]:
    """How often each tile was decoded, by the first place in its page and its number."""
    found: Counter[tuple[int, int]] = Counter()
    decode = Segments.decode

    def counting(self: Segments, source: Any, index: int) -> Any:
        found[int(self.offsets[0]), index] += 1
        return decode(self, source, index)

    monkeypatch.setattr(Segments, "decode", counting)
    monkeypatch.setattr(blocks, "_KEPT", blocks._Kept(blocks.KEPT_BYTES))
    return found


@pytest.mark.parametrize(
    ("kind", "compression"),
    [
        ("aperio", "jpeg"), ("aperio", "jpeg2000"), ("ome", "jpeg"), ("ome", "deflate"), ("subifds", "lzw"),
        ("subifds", "none"), ("pages", "jpeg"),
    ],
)  # fmt: skip
def test_every_kind_of_pyramid_has_the_pixels_and_pixel_size_of_its_file(
    tmp_path: Path, kind: Any, compression: Any
) -> None:
    """F7: levels in SubIFDs and pages, not exact halves, in BigTIFF; thumbnail, label and macro are ignored."""
    path = tmp_path / ("x.svs" if kind == "aperio" else "x.ome.tif" if kind == "ome" else "x.tif")
    image = read(write_slide(path, **SMALL, kind=kind, compression=compression))
    assert image.axes == "YXC"
    assert [level.shape for level in image.pyramid] == [(700, 1000, 3), (350, 500, 3), (140, 200, 3)]
    assert all(isinstance(level, BlockReader) for level in image.pyramid)
    assert (image.geometry.unit, image.meaning, image.names) == ("um", "RGB", (path.name,))
    assert image.geometry.spacing == pytest.approx((0.5, 0.5))
    assert not codes(image)
    most, mean = (90, 6) if "jpeg" in compression else (0, 0)
    for level, step in zip(image.pyramid, (1, 2, 5), strict=True):
        true = tissue_at(slice(0, level.shape[0]), slice(0, level.shape[1]), TISSUE, step)
        error = np.abs(whole(level).astype(int) - true)
        assert (error.max() <= most, error.mean() <= mean) == (True, True)
    with tifffile.TiffFile(path) as tiff:
        np.testing.assert_array_equal(whole(image.data), tiff.pages[0].asarray())


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    ("dtype", "shape", "about"),
    [
        ("uint8", (3, 90, 130), {"planarconfig": "separate", "photometric": "rgb"}),
        ("uint16", (90, 130, 3), {"photometric": "rgb", "compression": "deflate", "predictor": 2}),
        ("uint16", (90, 130), {}),
        ("int16", (90, 130), {"compression": "lzw"}),
        ("float32", (90, 130), {"compression": "deflate", "predictor": 3}),
    ],
)
def test_planar_signed_and_floating_slides_of_either_byte_order(
    tmp_path: Path, byteorder: Any, dtype: str, shape: tuple[int, ...], about: dict[str, Any]
) -> None:
    """F7."""
    pixels = (np.random.default_rng(1).normal(size=shape) * 90 + 100).clip(0 if "u" in dtype else -999).astype(dtype)
    half = pixels[..., ::2, ::2] if shape[0] == 3 else pixels[::2, ::2]
    about = {**about, "tile": (32, 48), "metadata": None}
    with tifffile.TiffWriter(tmp_path / "x.tif", byteorder=byteorder, bigtiff=True) as tiff:
        tiff.write(pixels, subifds=1, **about)
        tiff.write(half, subfiletype=1, **about)
    image = read(tmp_path / "x.tif")
    for level, true in zip(image.pyramid, (pixels, half), strict=True):
        np.testing.assert_array_equal(whole(level), np.moveaxis(true, 0, -1) if shape[0] == 3 else true)
        assert level.dtype == np.dtype(dtype)


def test_transparent_parts_of_a_slide_are_white(tmp_path: Path) -> None:
    pixels = np.full((64, 64, 4), 50, np.uint8)
    pixels[..., 3] = 255
    pixels[:32, :, 3] = 0
    pixels[..., 2] = 90
    with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
        for data, more in ((pixels, {"subifds": 1}), (pixels[::2, ::2], {"subfiletype": 1})):
            tiff.write(data, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16), metadata=None, **more)
    image = read(tmp_path / "x.tif")
    assert image.data.shape == (64, 64, 3)
    assert (image.data[:32] == 255).all()
    np.testing.assert_array_equal(image.data[40, 5], [50, 50, 90])


def test_brightness_and_colour_differences_become_colours(tmp_path: Path) -> None:
    """As Aperio's scanners write JPEG 2000, and others without compression: the decoder leaves them as they are."""
    color = tissue_at(slice(0, 256), slice(0, 256), ((0, 0, 999, 999),))
    luma = np.asarray(Pillow.fromarray(color).convert("YCbCr"))
    coded = bytes(imagecodecs.jpeg2k_encode(luma, level=0, codecformat="j2k", mct=False))
    about: dict[str, Any] = {"tile": (256, 256), "metadata": None, "dtype": np.uint8, "shape": luma.shape}
    tifffile.imwrite(tmp_path / "x.svs", iter([coded]), compression=33003, photometric="rgb", **about)
    tifffile.imwrite(tmp_path / "y.svs", iter([luma]), photometric="ycbcr", **about)
    for name in ("x.svs", "y.svs"):
        assert np.abs(whole(read(tmp_path / name).data).astype(int) - color).max() <= 4


def test_channels_in_pages_of_their_own_are_channels_of_every_level(tmp_path: Path) -> None:
    stain = np.stack([plane(z, (100, 140)) for z in range(4)])
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as tiff:
        tiff.write(stain, subifds=1, tile=(32, 32), photometric="minisblack", metadata={"axes": "CYX"})
        tiff.write(stain[:, ::2, ::2], subfiletype=1, tile=(32, 32), photometric="minisblack")
    image = read(tmp_path / "x.ome.tif")
    assert (image.axes, image.meaning) == ("YXC", "channels")
    for level, step in zip(image.pyramid, (1, 2), strict=True):
        np.testing.assert_array_equal(whole(level), np.moveaxis(stain[:, ::step, ::step], 0, -1))


def hole(coded: bytes) -> bytes:
    return coded[:-700] + bytes(512) + coded[-188:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda coded: None,
        lambda coded: coded[: len(coded) // 2],
        hole,
        lambda coded: coded[:-700] + b"\xff\xd9" + coded[-698:],
        lambda coded: b"\0" * len(coded),
        lambda coded: coded.replace(b"\xff\xc0\x00\x11\x08\x01\x00\x01\x00", b"\xff\xc0\x00\x11\x08\xff\x00\xff\x00"),
    ],
    ids=["absent", "cut off", "a hole", "a marker inside", "zeros", "claims more"],
)
def test_one_corrupt_tile_is_told_by_its_place_and_the_others_are_read(tmp_path: Path, damage: Any) -> None:
    """F2: JPEG decoders fill what they do not find with grey and say nothing."""
    path = write_slide(tmp_path / "x.svs", **SMALL)
    before = whole(read(path).data)
    put_tiles(path, {5: damage(coded_tile(path, 5))})
    image = read(path)
    assert ("MISSING_TILES" in codes(image)) == (damage(b"x" * 2000) is None)
    lost = (slice(256, 512), slice(256, 512))
    pixels, told = image.data.read(slice(250, 600), slice(100, 300))
    assert told == ((slice(256, 512), slice(256, 300)),)
    assert (pixels[6:262, 156:] == 255).all()
    np.testing.assert_array_equal(pixels[262:], before[512:600, 100:300])
    np.testing.assert_array_equal(pixels[:, :156], before[250:600, 100:256])
    assert (image.data[lost] == 255).all(), "a viewer sees white and no error"
    assert image.data.read(slice(0, 256), slice(0, 1000))[1] == ()
    with pytest.raises(InputError, match=r"x\.svs cannot be read at 1 places, the first at row 256, column 256"):
        image.slice(0)


def test_tiles_beyond_the_end_of_the_file_are_told_and_a_slide_without_any_is_refused(tmp_path: Path) -> None:
    """F1, F4: a TIFF that claims tiles it does not hold reads as zeros in other programs."""
    path = write_slide(tmp_path / "x.tif", 5000, kind="subifds", compression="none", steps=(4,), mpp=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        offsets = np.array(tiff.pages[0].dataoffsets)
        offsets[100:] = 10**9
        tiff.pages[0].tags["TileOffsets"].overwrite(offsets.tolist())
    image = read(path)
    (text,) = [f.message for f in image.findings if f.code == "MISSING_TILES"]
    assert "300 of 400 tiles are not in x.tif" in text
    assert image.data.read(slice(4000, 4001), slice(0, 1)) == (pytest.approx(255), ((slice(4000, 4001), slice(0, 1)),))
    put_tiles(path, dict.fromkeys(range(400)))
    with pytest.raises(InputError, match="claims 5000 x 5000 pixels that are not in the file"):
        read(path)


@pytest.mark.parametrize("maker", ["Philips DP v1.0", "another"])
def test_tiles_that_philips_leaves_out_are_glass_and_those_of_others_are_lost(tmp_path: Path, maker: str) -> None:
    """The pixel size is told in the description, which says that of each level."""
    path, size = tmp_path / "x.tiff", "<Attribute Name='DICOM_PIXEL_SPACING'>&quot;{}&quot; &quot;{}&quot;</Attribute>"
    sizes = [size.format(0.00025 * n, 0.0005 * n) for n in (1, 2)]
    told = "".join(f"<DataObject ObjectType='PixelDataRepresentation'>{s}</DataObject>" for s in sizes)
    outer = f"<DataObject ObjectType='DPScannedImage'>{size.format(1, 1)}<Array>{told}</Array></DataObject>"
    xml = f"<?xml version='1.0'?><DataObject><Attribute><Array>{outer}</Array></Attribute></DataObject>"
    pixels = tissue_at(slice(0, 512), slice(0, 768), ((0, 0, 512, 768),))
    about: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "compression": "deflate", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **about, software=maker, description=xml.replace("'", '"'))
        tiff.write(pixels[::2, ::2], **about, description="level=1")
    put_tiles(path, {2: None, 3: b"\0" * 900})
    image = read(path)
    is_philips = maker != "another"
    assert [level.shape[:2] for level in image.pyramid] == [(512, 768), (256, 384)]
    assert ("MISSING_TILES" in codes(image)) != is_philips
    glass, damaged = (slice(0, 256), slice(512, 768)), (slice(256, 512), slice(0, 256))
    found, lost = image.data.read(slice(0, 512), slice(0, 768))
    assert lost == ((damaged,) if is_philips else (glass, damaged))
    assert (found[glass] == 255).all()
    np.testing.assert_array_equal(found[:256, :512], pixels[:256, :512])
    if is_philips:
        assert image.geometry.spacing == pytest.approx((0.25, 0.5))
        put_tiles(path, dict.fromkeys(range(6)))
        with pytest.raises(InputError, match=r"none of its 6 tiles"):
            read(path)


def test_a_tiled_file_that_claims_to_be_huge_is_refused_with_the_figure(tmp_path: Path) -> None:
    """F3, F4: nothing is allocated for what the directory does not even list."""
    tifffile.imwrite(tmp_path / "x.tif", plane(0, (64, 64)), tile=(16, 16))
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[tag].overwrite(400_000)
    with pytest.raises(InputError, match="claims 400000 x 400000 pixels"):
        read(tmp_path / "x.tif")


def test_a_pyramid_larger_than_memory_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F4: only what is decoded at once counts; asking for all of it is refused with the figure."""
    path = write_slide(tmp_path / "x.svs", 5000)
    monkeypatch.setattr("napari_medseg.io.budget.memory_budget", lambda: 2**24)
    image = read(path)
    assert (image.data[4990:, ::100] == GLASS).all()
    with pytest.raises(InputError, match=r"claims 5000 x 5000 pixels, which take 0\.1 GiB"):
        image.slice(0)


def test_a_gigantic_slide_opens_at_once_and_little_of_it_is_decoded(
    tmp_path: Path, decoded: Counter[tuple[int, int]]
) -> None:
    path = write_slide(tmp_path / "x.svs", 100_000, ((40_000, 50_000, 300, 300),))
    assert path.stat().st_size < 2e7
    start = time.perf_counter()
    image = read(path)
    assert time.perf_counter() - start < 2
    assert sum(decoded.values()) <= 49, "the smallest level is looked at for its colours"
    assert [max(level.shape) for level in image.pyramid] == [100_000, 50_000, 25_000, 12_500, 6250, 3125, 1563]
    pixels, lost = image.data.read(slice(40_000, 40_300), slice(50_000, 50_300))
    assert not lost
    true = tissue_at(slice(40_000, 40_300), slice(50_000, 50_300), ((40_000, 50_000, 300, 300),))
    assert np.abs(pixels.astype(int) - true).mean() < 8


def test_tiles_are_decoded_once_whoever_asks_for_them(tmp_path: Path, decoded: Counter[tuple[int, int]]) -> None:
    image = read(write_slide(tmp_path / "x.svs", 2000, ((0, 0, 2000, 2000),)))
    decoded.clear()
    windows = [(slice(y, y + 700), slice(x, x + 700)) for y in range(0, 1300, 300) for x in range(0, 1300, 300)] * 2
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda w: image.data.read(*w)[0], windows))
    assert len(decoded) == 64
    assert set(decoded.values()) == {1}
    true = whole(image.data)
    for part, window in zip(parts, windows, strict=True):
        np.testing.assert_array_equal(part, true[window])


def test_kept_tiles_stay_within_their_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = blocks._Kept(10 * 256 * 256 * 3)
    monkeypatch.setattr(blocks, "_KEPT", kept)
    image = read(write_slide(tmp_path / "x.svs", 2000))
    whole(image.data)
    assert kept._size <= kept.limit
    assert kept._size == sum(block[0].nbytes for block in kept._blocks.values())


def test_levels_are_indexed_as_arrays(tmp_path: Path) -> None:
    """Viewers step, turn round and pick as numpy does."""
    level = read(write_slide(tmp_path / "x.svs", **SMALL)).data
    true, random = whole(level), np.random.default_rng(2)
    assert (len(level), level.size, level.nbytes) == (700, true.size, true.nbytes)

    def pick(side: int) -> Any:
        a, b = random.integers(-side, side, 2).tolist()
        step = int(random.choice([1, 1, 2, 7, 300, -1, -5]))
        return [slice(a, b, step), slice(None), a, slice(a, None), slice(None, b, step)][random.integers(5)]

    for _ in range(200):
        index = tuple(pick(n) for n in true.shape[: random.integers(1, 4)])
        np.testing.assert_array_equal(level[index], true[index], err_msg=str(index))
    np.testing.assert_array_equal(level[..., 1], true[..., 1])
    np.testing.assert_array_equal(level[np.array([5, 600])], true[[5, 600]])
    with pytest.raises(IndexError):
        level[700]


@pytest.mark.parametrize(
    ("kind", "mpp", "spacing"),
    [("aperio", 0.252, 0.252), ("subifds", 0.252, 0.252), ("subifds", 84.7, None), ("aperio", None, None)],
)
def test_a_pixel_size_that_no_microscope_has_is_asked_for(
    tmp_path: Path, kind: Any, mpp: float | None, spacing: float | None
) -> None:
    image = read(write_slide(tmp_path / "x.tif", **SMALL, kind=kind, mpp=mpp))
    assert image.geometry.known == (spacing is not None)
    assert ("NO_SPACING" in codes(image)) == (spacing is None)
    if spacing:
        assert image.geometry.spacing == pytest.approx((spacing, spacing), rel=1e-4)
        assert image.geometry.unit == "um"


def test_pictures_up_to_4096_and_stacks_are_no_slides(tmp_path: Path) -> None:
    """F7: the 2048 x 2048 TIFFs of pathology challenges are plain images, a stack of pyramids is a stack."""
    color = np.stack([plane(z, (300, 300)) for z in range(3)], axis=-1)
    tifffile.imwrite(tmp_path / "x.tif", color, tile=(64, 64), photometric="rgb")
    Pillow.new("L", (LARGE, 3)).save(tmp_path / "x.png")
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as tiff:
        stack = np.stack([plane(z, (100, 140)) for z in range(3)])
        tiff.write(stack, subifds=1, tile=(32, 32), metadata={"axes": "ZYX"})
        tiff.write(stack[:, ::2, ::2], subfiletype=1, tile=(32, 32))
    images = [read(tmp_path / name) for name in ("x.tif", "x.png", "x.ome.tif")]
    assert [image.levels for image in images] == [(), (), ()]
    assert [image.axes for image in images] == ["YXC", "YX", "ZYX"]


def test_a_tiled_picture_without_levels_gets_them_where_it_is_looked_at(
    tmp_path: Path, decoded: Counter[tuple[int, int]]
) -> None:
    """F2: a tile that cannot be read is told at every level, and white spreads no further than it reaches."""
    path = write_slide(tmp_path / "x.tif", (LARGE + 1, 600), ((0, 0, LARGE, 400),), kind="subifds", steps=())
    true = [whole(read(path).data)]
    decoded.clear()
    image = read(path)
    assert [level.shape[:2] for level in image.pyramid] == [(4097, 600), (2049, 300), (1025, 150), (513, 75)]
    for level in image.levels:
        true.append(halve_mean(true[-1]))
        np.testing.assert_array_equal(whole(level), true[-1])
    assert halve_mean(np.array([[1, 2, 9], [4, 4, 9]], np.uint8)).tolist() == [[3, 9]]
    put_tiles(path, {9: None})  # rows 768-1024, columns 0-256
    image = read(path)
    pixels, lost = image.levels[2].read(slice(0, 513), slice(0, 75))
    assert lost == ((slice(96, 128), slice(0, 32)),)
    assert (pixels[96:128, :32] == 255).all()
    np.testing.assert_array_equal(pixels[128:], true[3][128:])
    np.testing.assert_array_equal(pixels[:96], true[3][:96])


def test_a_large_slide_of_one_level_opens_without_its_pixels(
    tmp_path: Path, decoded: Counter[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its smaller levels are made of all tiles: they are no place to look for colours."""
    path = write_slide(tmp_path / "x.tif", (LARGE + 1, 600), kind="subifds", steps=())
    monkeypatch.setattr("napari_medseg.io.levels._MOST_LOOKED_AT", LARGE * 600)
    decoded.clear()
    assert read(path).channels == 3
    assert not decoded


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.bmp"])
def test_a_large_picture_in_one_piece_is_decoded_once(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_medseg.io import levels

    pixels = np.zeros((LARGE + 2, 64, 3), np.uint8)
    pixels[100:3000, 10:50] = (200, 90, 150)
    Pillow.fromarray(pixels).save(tmp_path / name)
    loads: list[str] = []
    make = levels.OnePiece.__init__

    def init(self: Any, shape: Any, dtype: Any, load: Any, name: str) -> None:
        make(self, shape, dtype, lambda: (loads.append(name), load())[1], name)

    monkeypatch.setattr(levels.OnePiece, "__init__", init)
    image = read(tmp_path / name)
    assert [type(level) for level in image.pyramid] == [PieceLevel] * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(np.asarray, image.pyramid))
    assert loads == [name]
    if name != "x.jpg":
        np.testing.assert_array_equal(found[0], pixels)
    for above, below in pairwise(found):
        np.testing.assert_array_equal(below, halve_mean(above))
    part, lost = read_region(image.data, slice(90, 110), slice(0, 20))
    assert (part.shape, lost) == ((20, 20, 3), ())


def test_an_honest_huge_png_opens_and_a_bomb_does_not(tmp_path: Path) -> None:
    """F5: 20,000 x 20,000; Pillow's limit stays as it is for everybody."""
    limit = Pillow.MAX_IMAGE_PIXELS

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\xf0" * 2500) * 20_000, 1)
    start, end = b"\x89PNG\r\n\x1a\n" + head, chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(start + chunk(b"IDAT", rows) + end)
    image = read(tmp_path / "x.png")
    assert [level.shape[0] for level in image.pyramid] == [20_000, 10_000, 5000, 2500, 1250, 625]
    assert (image.data[19_999, 16:24] == [255] * 4 + [0] * 4).all()
    (tmp_path / "bomb.png").write_bytes(start + chunk(b"IDAT", zlib.compress(bytes(1000))) + end)
    with pytest.raises(InputError, match=r"20000 x 20000 pixels .* too many for its"):
        read(tmp_path / "bomb.png")
    assert limit == Pillow.MAX_IMAGE_PIXELS


def test_a_damaged_picture_in_one_piece_is_unreadable_as_a_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (LARGE + 1, 50), np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(content[:5000] + bytes(1000) + content[6000:])
    image = read(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"x\.png is damaged"):
        image.slice(0)
    part, lost = read_region(image.data, slice(10, 30), slice(5, 15))
    assert lost == ((slice(10, 30), slice(5, 15)),)
    assert (part == 255).all()


def test_slides_whose_colours_are_equal_are_grey(tmp_path: Path) -> None:
    def write(path: Path, small: np.ndarray[Any, Any]) -> Image:
        with tifffile.TiffWriter(path) as tiff:
            for data, more in ((color, {"subifds": 1}), (small, {"subfiletype": 1})):
                tiff.write(data, photometric="rgb", tile=(32, 32), metadata=None, **more)
        return read(path)

    grey = np.stack([plane(4, (100, 140))] * 3, axis=-1)
    color = grey
    image = write(tmp_path / "a.tif", grey[::2, ::2])
    assert [level.shape for level in image.pyramid] == [(100, 140), (50, 70)]
    np.testing.assert_array_equal(whole(image.data), grey[..., 0])
    np.testing.assert_array_equal(image.data[5:9, ::2], grey[5:9, ::2, 0])
    color = grey.copy()
    color[70, 3, 0] ^= 1
    image = write(tmp_path / "b.tif", grey[::2, ::2])
    np.testing.assert_array_equal(image.data.read(slice(0, 10), slice(0, 10))[0], grey[:10, :10, 0])
    with pytest.raises(InputError, match="is coloured, while it looked grey"):
        image.data.read(slice(60, 80), slice(0, 10))
    assert read(tmp_path / "b.tif", color=True).channels == 3


@pytest.mark.parametrize("order", ["cyx", "yx", "tczyx"])
def test_levels_of_an_ome_zarr_are_read_in_chunks(tmp_path: Path, order: str) -> None:
    group = zarr.create_group(tmp_path / "x.zarr", zarr_format=3)
    color = np.stack([plane(z, (600, 700)) for z in range(3)])
    true = color if "c" in order else color[0]
    sets = []
    for n, step in enumerate((1, 3)):
        level = true[..., ::step, ::step]
        level = level[None, :, None] if order == "tczyx" else level
        group.create_array(str(n), data=level, chunks=(*(1,) * (level.ndim - 2), 128, 100))
        scale = [1.0] * (len(order) - 2) + [0.5 * step] * 2
        sets.append({"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    kinds = {"c": "channel", "t": "time"}
    axes = [{"name": a, "type": kinds.get(a, "space"), **({"unit": "micrometer"} if a in "zyx" else {})} for a in order]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": sets}]}
    image = read(tmp_path / "x.zarr")
    assert all(isinstance(level, BlockReader) for level in image.pyramid)
    assert image.data.block == (256, 300)
    for level, step in zip(image.pyramid, (1, 3), strict=True):
        wanted = true[..., ::step, ::step]
        np.testing.assert_array_equal(whole(level), np.moveaxis(wanted, 0, -1) if "c" in order else wanted)
    (file,) = (tmp_path / "x.zarr" / "0").rglob("c/" + "0/" * (len(order) - 2) + "1/2")
    file.write_bytes(b"damaged")
    _, lost = read(tmp_path / "x.zarr").data.read(slice(0, 600), slice(0, 700))
    assert lost == ((slice(0, 256), slice(0, 300)),)


def test_without_openslide_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    Pillow.new("RGB", (9, 9)).save(tmp_path / "x.jpg")
    (tmp_path / "x.jpg").rename(tmp_path / "x.mrxs")
    with pytest.raises(InputError, match=r"x\.mrxs needs OpenSlide.*napari-medseg\[openslide\]"):
        read(tmp_path / "x.mrxs")


def test_openslide_reads_what_tifffile_reads(tmp_path: Path) -> None:
    """The same slide through both; and a corrupt tile does not end the reading."""
    from napari_medseg.io.openslide import read_header, read_pyramid

    pytest.importorskip("openslide")
    path = write_slide(tmp_path / "x.svs", **SMALL)
    ours, image = read(path), read_pyramid(path)
    assert read_header(path).geometry.spacing == (0.5, 0.5)
    assert [level.shape for level in image] == [level.shape for level in ours.pyramid]
    assert np.abs(whole(image[0]).astype(int) - whole(ours.data)).max() <= 4
    put_tiles(path, {5: b"\0" * 900})
    first = read_pyramid(path)[0]
    assert first.read(slice(0, 700), slice(0, 1000))[1] == ((slice(256, 512), slice(256, 512)),)


def test_a_folder_of_slides_is_a_set_of_slides(tmp_path: Path) -> None:
    for name, side in (("a.svs", 300), ("b.svs", 400)):
        write_slide(tmp_path / name, side, mpp=0.25, steps=(2,))
    images = read_set(tmp_path)
    assert [image.shape for image in images] == [(300, 300), (400, 400)]
    assert all(image.levels for image in images)


def test_a_real_slide_of_one_level(real_data: Path) -> None:
    """F7: its thumbnail, label and macro are ignored; it gets a level of half its size."""
    path = real_data / "wsi" / "CMU-1-Small-Region.svs"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    image = read(path)
    assert [level.shape for level in image.pyramid[:2]] == [(2967, 2220, 3), (1484, 1110, 3)]
    assert (image.geometry.spacing, image.geometry.unit) == ((0.499, 0.499), "um")
    assert not codes(image)
    with tifffile.TiffFile(path) as tiff:
        np.testing.assert_array_equal(whole(image.data), tiff.pages[0].asarray())


def test_real_overviews_are_plain_images(real_data: Path) -> None:
    files: Sequence[Path] = sorted((real_data / "bcnb_he_tumour" / "images").glob("*.jpg"))
    if not files:
        pytest.skip("no overviews of slides there")
    for path in files:
        image = read(path)
        assert image.channels == 3
        assert bool(image.levels) == (max(image.shape) > LARGE)
