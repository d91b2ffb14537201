"""Read thousands of damaged files in this process, with little memory: ``python fuzz.py KIND COUNT FOLDER``.

Only `MedsegError` may come out of a reader. What else comes out is printed with the smallest damage that leads to it,
and the damaged file stays in the folder; the exit status is then 1. Prints how many files were read and refused.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import resource
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisException
from mutations import mutate, plans
from readers import READERS

from napari_medseg.core import MedsegError
from napari_medseg.io import budget

_SLICE = 2**25
"""Bytes a slice may take here; a whole stack of masks eight times that."""

_ROOM = 2**30
"""Bytes beyond what the process holds before the first damaged file: the stack of masks, decoded and converted."""

_HANG = 60
"""Seconds after which a reader is taken to hang: it normally takes milliseconds."""


def limit_memory() -> None:
    held = int(next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmSize")).split()[1])
    limit = held * 1024 + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def fuzz(name: str, whole: Path, read: Callable[[Path], Any], count: int, folder: Path) -> dict[str, int]:
    """Read ``count`` damaged copies of a file or folder."""
    told = {"tried": 0, "refused": 0, "failed": 0}
    place = folder / name

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    @given(plans)
    def read_damaged(plan: Any) -> None:
        shutil.rmtree(place, ignore_errors=True)
        told["tried"] += 1
        damaged = place / str(told["tried"]) / whole.name  # a path of its own: readers may remember what they saw
        shutil.copytree(whole.parent, damaged.parent)
        mutate(damaged, plan)
        faulthandler.dump_traceback_later(_HANG, exit=True)
        try:
            read(damaged)
        except MedsegError as error:
            told["refused"] += 1
            if not error.message.strip():
                raise AssertionError("an error says something") from error
        finally:
            faulthandler.cancel_dump_traceback_later()

    try:
        read_damaged()
    except HypothesisException:
        raise
    except BaseException:
        told["failed"] = 1
        kept = folder / f"failed-{name}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(place, kept)
        print(f"--- {name}: {kept}\n{traceback.format_exc(limit=-12)}", file=sys.stderr)
    return told


def main(kind: str, count: int, folder: Path) -> int:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    made, broken = [], False
    for name, make, read in READERS[kind]():
        place = folder / f"whole-{name}"
        place.mkdir(parents=True)
        try:
            whole = make(place)
            read(whole)  # the specimen itself can be read; and what readers import is imported
            made.append((name, whole, read))
        except Exception:
            broken = True
            print(f"--- {name}: the whole file\n{traceback.format_exc(limit=-8)}", file=sys.stderr)
    budget.SLICE_LIMIT = _SLICE
    limit_memory()
    told = {name: fuzz(name, whole, read, count // len(made) + 1, folder) for name, whole, read in made}
    print(json.dumps(told))
    return int(broken or any(t["failed"] for t in told.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
