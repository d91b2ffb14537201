"""What every test stands on: a screen of its own, a library of its own, no network."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before torch and Qt are imported: real pixels on the virtual screen, and threads that do not spin against each other.
os.environ["QT_QPA_PLATFORM"] = "xcb"
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from napari_medseg.core import priority

PROJECT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests come first: begun as the last, one keeps everything waiting for a single process."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def own_library(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty model library, journal and cache for each test, gone after it: together they fill disks."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NAPARI_MEDSEG_HOME", str(home))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(autouse=True)
def nobody_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the background goes as fast as the test, which waits for it, and as other tests at the same time."""
    monkeypatch.setattr(priority, "BEHIND", 0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine only."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and str(address[0]) not in ("127.0.0.1", "::1"):  # type: ignore[index]
            raise OSError(f"The network is blocked in tests, {address} was asked for")
        return connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison trains in this process: others need seconds to begin."""
    from napari_medseg.training import rounds, work

    def train(run: Any, report: Any, *, started: float, library: Path) -> Any:
        with pytest.MonkeyPatch.context() as context:
            context.setenv("NAPARI_MEDSEG_HOME", str(library))
            return work.carry_out(run, report)

    monkeypatch.setattr(rounds, "train_apart", train)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real image sets; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("MEDSEG_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}; name their folder in MEDSEG_DATA")
    return folder
