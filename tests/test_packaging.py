"""What users install: the wheel, the wheel built from the sdist, and the editable install."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path = PROJECT, **variables: str) -> str:
    result = subprocess.run(
        [str(c) for c in command], cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def validate(installed: Path | None = None) -> str:
    """Let npe2 read the manifest of the installed package and import every name in it."""
    where = {"PYTHONPATH": str(installed)} if installed else {}
    return run(sys.executable, "-m", "npe2", "validate", "napari-medseg", "--imports", cwd=PROJECT / "tests", **where)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheels built straight from the tree and by way of the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation")
    run(*build, "--wheel", "--outdir", folder / "tree")
    run(*build, "--outdir", folder / "sdist")
    return {source: next((folder / source).glob("*.whl")) for source in ("tree", "sdist")}


@pytest.mark.parametrize("source", ["tree", "sdist"])
def test_wheel_holds_a_valid_manifest(wheels: dict[str, Path], source: str, tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", tmp_path, wheels[source])
    assert not (tmp_path / "napari_medseg" / "napari.yaml").is_symlink()
    assert "valid" in validate(tmp_path).lower()


def test_editable_install_has_a_valid_manifest() -> None:
    assert "valid" in validate().lower()


def test_both_wheels_hold_the_same_files(wheels: dict[str, Path]) -> None:
    names = [sorted(n for n in zipfile.ZipFile(w).namelist() if "RECORD" not in n) for w in wheels.values()]
    assert names[0] == names[1]


def test_wheel_holds_the_built_in_models(wheels: dict[str, Path]) -> None:
    weights = [i for i in zipfile.ZipFile(wheels["tree"]).infolist() if i.filename.endswith("model.safetensors")]
    assert {Path(i.filename).parent.name for i in weights} == {
        "bone-ct", "femur-ct", "lungs-xray", "nuclei-he", "tumour-mr",
    }  # fmt: skip
    assert sum(i.file_size for i in weights) <= 40e6


def test_wheel_holds_a_small_picture_of_each_built_in_model(wheels: dict[str, Path]) -> None:
    for wheel in wheels.values():
        inside = zipfile.ZipFile(wheel).infolist()
        pictures = {Path(i.filename).parent: i.file_size for i in inside if i.filename.endswith("/thumbnail.png")}
        assert {*pictures} == {Path(i.filename).parent for i in inside if i.filename.endswith("model.safetensors")}
        assert max(pictures.values()) <= 30_000


def test_wheel_holds_what_the_built_in_model_remembers(wheels: dict[str, Path]) -> None:
    for wheel in wheels.values():
        (memory,) = [i for i in zipfile.ZipFile(wheel).infolist() if i.filename.endswith("femur-ct/memory.zip")]
        assert memory.file_size <= 2e6
