"""``napari-medseg segment`` killed at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Picture

from .conftest import bright_square, contents
from .killing import POSSIBLE, Killer, killer

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="no cheap way to start many processes")


@pytest.fixture(scope="module")
def runs() -> Iterator[Killer]:
    with killer() as found:
        yield found


def test_a_killed_and_resumed_series_gives_the_same_bytes(runs: Killer, series: Path, tmp_path: Path) -> None:
    """W3, W8: what the killed run held and was writing is taken over and tidied up."""
    for z in range(6, 24):
        Picture.fromarray(bright_square(z)).save(series / f"{z}.png")
    out, command = tmp_path / "masks", ("segment", series, "--model", "any", "--batch", 1, "--precision", "fp32")
    files = runs.run(*command, "--output", tmp_path / "whole")
    killed = runs.kill_often(6, files, *command, "--output", out, "--resume")
    runs.run(*command, "--output", out, "--resume")
    assert killed > 1
    assert contents(out) == contents(tmp_path / "whole"), "nothing hidden is left either"


def test_a_killed_and_resumed_slide_gives_the_same_bytes(runs: Killer, slide: Path, tmp_path: Path) -> None:
    """W3, W8: of an OME-Zarr that fills, and of a file that is made of a hidden one."""
    command = ("segment", slide, "--model", "any", "--tile", 256, "--batch", 4, "--output")
    files = runs.run(*command, tmp_path / "whole.ome.zarr")
    runs.run(*command, tmp_path / "whole.tif")
    killed = 0
    for seed, name in enumerate(("out.ome.zarr", "out.tif")):
        killed += runs.kill_often(5, files, *command, tmp_path / name, "--resume", seed=seed)
        runs.run(*command, tmp_path / name, "--resume")
    assert killed > 2
    assert contents(tmp_path / "out.ome.zarr") == contents(tmp_path / "whole.ome.zarr")
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
