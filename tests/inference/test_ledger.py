"""What is done of a slide, and who does it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core import InputError, OutputError
from napari_medseg.inference.slides import holding
from napari_medseg.inference.slides.ledger import Ledger
from napari_medseg.io.locks import take


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(tmp_path / "slide.ome.zarr")
    found.begin({"image": "abc", "model": {"reference": "a@1", "sha256": "1"}, "options": {"tile": 0, "tta": "none"}})
    return found


def test_half_a_line_never_counts(ledger: Ledger) -> None:
    """W3: a program that is killed while it writes."""
    ledger.mark_done("all", [(1, 2), (3, 40)])
    path = ledger.folder / "done-all.txt"
    path.write_bytes(path.read_bytes()[:-2])  # was "3 40"
    assert ledger.done() == {(1, 2)}
    ledger.mark_done("all", [(5, 6)])
    assert ledger.done() == {(1, 2), (5, 6)}


def test_what_several_have_done_is_put_together(ledger: Ledger) -> None:
    ledger.mark_done("1-of-2", [(0, 0)])
    ledger.mark_done("2-of-2", [(1, 0)])
    ledger.mark_unreadable("2-of-2", [(slice(4, 8), slice(0, 2))])
    again = Ledger(ledger.result)
    assert again.done() == {(0, 0), (1, 0)}
    assert again.unreadable() == [(slice(4, 8), slice(0, 2))]


def test_going_on_with_the_same_is_allowed(ledger: Ledger) -> None:
    about = {"image": "abc", "model": {"reference": "a@1", "sha256": "1"}, "options": {"tile": 0, "tta": "none"}}
    ledger.check(about)
    with pytest.raises(InputError, match=r"begun with other options \(tta: none, now flips\)"):
        ledger.check({**about, "options": {"tile": 0, "tta": "flips"}})
    (ledger.folder / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"run\.json cannot be read"):
        ledger.check(about)


def test_patches_are_found_by_where_they_lie_the_latest_last(ledger: Ledger) -> None:
    other = Ledger(ledger.result)
    assert other.painted(slice(0, 9), slice(0, 9)) == []
    for value in range(12):
        ledger.keep(slice(value, value + 3), slice(2, 4), np.full((3, 2), value, np.uint8))
    found = other.painted(slice(10, 11), slice(3, 99))
    assert [int(p.values[0, 0]) for p in found] == [8, 9, 10]
    assert found[0].rows == slice(8, 11)


def test_a_second_run_is_told_who_holds_the_result(ledger: Ledger) -> None:
    """W6."""
    who = rf"process {os.getpid()} on {re.escape(socket.gethostname())} since \d\d:\d\d on"
    with ledger.held():
        for owner in ("all", "1-of-2"):
            with pytest.raises(OutputError, match=who), Ledger(ledger.result).held(owner):
                pass
    with ledger.held("1-of-2"):
        with Ledger(ledger.result).held("2-of-2"):
            pass
        for owner in ("1-of-2", "1-of-3", "all"):
            with pytest.raises(OutputError, match=who), Ledger(ledger.result).held(owner):
                pass
    with ledger.held():
        pass


HOLD = """
import sys
from pathlib import Path
from napari_medseg.inference.slides.ledger import Ledger
with Ledger(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no way to kill a program unawares")
def test_the_lock_of_a_program_that_was_killed_is_taken_over(ledger: Ledger) -> None:
    """W8."""
    command = [sys.executable, "-c", HOLD, str(ledger.result)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=rf"written by process {child.pid} "), ledger.held():
            pass
        child.kill()
    with ledger.held():
        pass


def test_one_thread_of_one_process_writes_and_may_enter_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = ledger.folder / "writing.lock", []

    def write() -> None:
        with Ledger(ledger.result).writing():
            order.append("the other")

    other = threading.Thread(target=write)
    with ledger.held(), ledger.starting(), ledger.writing():
        with Ledger(ledger.result).writing():
            pass
        assert take(path) is None, "given back too early"
        other.start()
        order.append("this one")
    other.join(60)
    assert order == ["this one", "the other"]
    elsewhere = take(path)
    assert elsewhere is not None
    with ledger.held():  # who writes has no claim to a part
        pass
    monkeypatch.setattr(holding, "WRITE_SECONDS", 0.0)
    with (
        pytest.raises(OutputError, match=r"Another program has been writing into .*slide\.ome\.zarr"),
        ledger.writing(),
    ):
        pass
    elsewhere.release()
    with ledger.writing():
        pass
    assert not ledger.result.exists()
