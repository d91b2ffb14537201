"""Torch is loaded by threads without stopping the window."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, sys
from napari_medseg.models.loading import load_torch
load_torch()
assert "torch" not in sys.modules
opened = open("/proc/self/maps").read()
assert "libtorch_cpu.so" in opened
import torch
assert torch.ones(2).sum() == 2
load_torch()  # nothing happens
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only done on Linux")
def test_the_library_is_open_before_the_import_and_the_import_finds_it() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_without_torch_it_is_left_to_the_import_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_medseg.models import loading

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    loading.load_torch()
