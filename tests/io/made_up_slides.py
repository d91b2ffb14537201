"""Made-up slides of any size in a few seconds and megabytes: the same white tile wherever there is no tissue.

Its tissue is pink with dark nuclei, as in slides stained with haematoxylin and eosin; it repeats itself every `PERIOD`
pixels, so that a tile is drawn and packed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

Array = npt.NDArray[Any]
Kind = Literal["aperio", "ome", "subifds", "pages"]
Box = tuple[int, int, int, int]

PERIOD = 1024
GLASS = 243
"""Brightness of the empty glass."""


@lru_cache(maxsize=1)
def texture() -> Array:
    """Tissue, (PERIOD, PERIOD, 3) uint8, the same at opposite edges."""
    rng = np.random.default_rng(3)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(PERIOD)] * 2))

    def clouds(size: float) -> Array:
        kernel = np.exp(-2 * (np.pi * frequency * size) ** 2)
        field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(PERIOD, PERIOD))) * kernel).real
        return (field - field.mean()) / field.std()

    fibres, nuclei = clouds(6)[..., None], clouds(5)[..., None] > 1.5
    pink = np.array([225, 150, 190]) + fibres * (8, 22, 14)
    violet = np.array([95, 60, 140]) + clouds(2)[..., None] * (10, 10, 10)
    return np.clip(np.where(nuclei, violet, pink), 0, 255).astype(np.uint8)


def tissue_at(rows: slice, columns: slice, tissue: Sequence[Box], step: int = 1) -> Array:
    """Pixels of a rectangle of the level whose pixels are ``step`` times those of level 0, (Y, X, 3) uint8."""
    drawn = _small_texture(step)
    y, x = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    pixels = drawn[np.ix_(y % len(drawn), x % len(drawn))]
    inside = np.zeros((len(y), len(x)), bool)
    for top, left, height, width in tissue:
        (at, over), half = ((y * step, x * step), step // 2)
        here = (at + half >= top) & (at + half < top + height)
        inside |= here[:, None] & ((over + half >= left) & (over + half < left + width))[None]
    return np.where(inside[..., None], pixels, np.uint8(GLASS))


def write_slide(  # noqa: PLR0913
    path: Path,
    side: int | tuple[int, int],
    tissue: Sequence[Box] = (),
    *,
    tile: int = 256,
    compression: Literal["jpeg", "jpeg2000", "deflate", "lzw", "none"] = "jpeg",
    mpp: float | None = 0.5,
    kind: Kind = "aperio",
    steps: Sequence[int] | None = None,
) -> Path:
    """Write a tiled BigTIFF with levels; its tissue lies in boxes (y, x, height, width) of level 0.

    Parameters
    ----------
    side
        Pixels along each side, or (Y, X).
    kind
        How levels are tied to the image: pages as Aperio's scanners write them (with thumbnail, label and macro), OME
        or plain SubIFDs, or pages that nothing marks.
    steps
        Level-0 pixels along the side of a pixel of each smaller level; None halves down to about 1000.
    """
    shape = (side, side) if isinstance(side, int) else side
    if steps is None:
        steps = [2**n for n in range(1, 20) if max(shape) >> n >= 800]
    pack = _packer(compression)
    blank = pack(np.full((tile, tile, 3), GLASS, np.uint8))
    tags: dict[str, Any] = {"photometric": "rgb", "dtype": np.uint8, "tile": (tile, tile)}
    tags |= {"compression": _CODES[compression]}
    if compression == "jpeg":
        tags |= {"photometric": "ycbcr", "subsampling": (2, 2)}
    tied = kind in ("ome", "subifds")
    with tifffile.TiffWriter(path, bigtiff=True, ome=kind == "ome") as tiff:
        for n, step in enumerate([1, *steps]):
            size = tuple(-(-s // step) for s in shape)
            about = _about(kind, shape, mpp) if n == 0 else {"metadata": None}
            about |= {"subifds": len(steps)} if tied and n == 0 else {"subfiletype": 1} if tied else {}
            packed = _tiles((size[0], size[1]), tissue, tile, step, pack)
            tiff.write(packed, shape=(*size, 3), **tags, **about)
            if n == 0 and kind == "aperio":
                tiff.write(np.full((60, 80, 3), GLASS, np.uint8), metadata=None, photometric="rgb")
        if kind == "aperio":
            for name, kind_of in (("label", 1), ("macro", 9)):
                told = {"description": f"Aperio Image Library v11\n{name} 40x30", "subfiletype": kind_of}
                tiff.write(np.full((30, 40, 3), 60, np.uint8), metadata=None, photometric="rgb", **told)
    _share(path, blank)
    return path


_CODES = {"jpeg": 7, "jpeg2000": 33005, "deflate": 8, "lzw": 5, "none": 1}


def level_pages(tiff: tifffile.TiffFile) -> list[Any]:
    """Pages of the levels of a slide that `write_slide` wrote."""
    first = tiff.pages[0]
    return [first, *(first.pages or ())] + [p for p in tiff.pages[1:] if p.is_tiled]


def put_tiles(path: Path, tiles: dict[int, bytes | None], level: int = 0) -> None:
    """Replace the coded bytes of some tiles; None says that they are not in the file."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = level_pages(tiff)[level]
        offsets, counts = list(page.dataoffsets), list(page.databytecounts)
        for index, coded in tiles.items():
            tiff.filehandle.seek(0, 2)
            offsets[index], counts[index] = (tiff.filehandle.tell(), len(coded)) if coded else (0, 0)
            tiff.filehandle.write(coded or b"")
        page.tags["TileOffsets"].overwrite(offsets)
        page.tags["TileByteCounts"].overwrite(counts)


def coded_tile(path: Path, index: int, level: int = 0) -> bytes:
    """The bytes of a tile as they lie in the file."""
    with tifffile.TiffFile(path) as tiff:
        page = level_pages(tiff)[level]
        tiff.filehandle.seek(page.dataoffsets[index])
        return bytes(tiff.filehandle.read(page.databytecounts[index]))


def _packer(compression: str) -> Any:
    def pack(pixels: Array) -> bytes:
        pixels = np.ascontiguousarray(pixels)
        if compression == "jpeg":
            return bytes(imagecodecs.jpeg8_encode(pixels, level=85, subsampling="420"))
        if compression == "jpeg2000":
            return bytes(imagecodecs.jpeg2k_encode(pixels, level=60, codecformat="j2k", mct=True))
        if compression == "none":
            return pixels.tobytes()
        return bytes({"deflate": imagecodecs.zlib_encode, "lzw": imagecodecs.lzw_encode}[compression](pixels.tobytes()))

    return pack


def _about(kind: Kind, shape: tuple[int, int], mpp: float | None) -> dict[str, Any]:
    if kind == "aperio":
        told = f"|AppMag = 20|MPP = {mpp}" if mpp else "|AppMag = 20"
        text = f"Aperio Image Library v11.2.1\r\n{shape[1]}x{shape[0]} (256x256) JPEG/RGB Q=85{told}"
        return {"metadata": None, "description": text}
    if kind == "ome":
        sizes: dict[str, Any] = {f"PhysicalSize{a}": mpp for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
        return {"metadata": {"axes": "YXS", **(sizes if mpp else {})}}
    dense = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"} if mpp else {}
    return {"metadata": None, **dense}


def _tiles(shape: tuple[int, int], tissue: Sequence[Box], tile: int, step: int, pack: Any) -> Iterator[bytes]:
    """Packed tiles row by row; nothing for those without tissue."""
    kept: dict[tuple[int, int], bytes] = {}
    boxes = [tuple(v / step for v in box) for box in tissue]
    period = len(_small_texture(step))
    for top in range(0, shape[0], tile):
        near = [b for b in boxes if b[0] - 1 < top + tile and b[0] + b[2] + 1 > top]
        for left in range(0, shape[1], tile):
            if not any(b[1] - 1 < left + tile and b[1] + b[3] + 1 > left for b in near):
                yield b""
                continue
            whole = any(_spans(b[0], b[2], top, tile) and _spans(b[1], b[3], left, tile) for b in near)
            key = (top % period, left % period)
            if not whole or key not in kept:
                packed = pack(tissue_at(slice(top, top + tile), slice(left, left + tile), tissue, step))
                if not whole:
                    yield packed
                    continue
                kept[key] = packed
            yield kept[key]


def _spans(start: float, length: float, first: int, tile: int) -> bool:
    """Whether a tile lies within a box along an axis, rounding aside."""
    return start + 1 <= first and first + tile <= start + length - 1


@lru_cache(maxsize=16)
def _small_texture(step: int) -> Array:
    whole = texture()
    if step == 1:
        return whole
    step = min(step, PERIOD)
    side = PERIOD // step
    return whole[: side * step, : side * step].reshape(side, step, side, step, 3).mean((1, 3)).astype(np.uint8)


def _share(path: Path, blank: bytes) -> None:
    """Let all empty tiles point at one white tile."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.filehandle.seek(0, 2)
        place = tiff.filehandle.tell()
        tiff.filehandle.write(blank)
        for page in level_pages(tiff):
            offsets, counts = np.array(page.dataoffsets), np.array(page.databytecounts)
            empty = counts == 0
            offsets[empty], counts[empty] = place, len(blank)
            page.tags["TileOffsets"].overwrite(offsets.tolist())
            page.tags["TileByteCounts"].overwrite(counts.tolist())
