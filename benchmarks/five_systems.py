"""The five published walk-throughs, each by its recipe, on real images that were never trained on.

    python benchmarks/five_systems.py [NAME ...] [--seeds 0 1 2] [--start MODEL] [--minutes M] [--clock wall]
    python benchmarks/five_systems.py --write

A seed draws the random numbers and which patients or images measure; seeds 0 to 5 of ``tumour`` measure every patient
once. Runs are kept in ``five_systems.json`` beside this file, each in the place of an earlier one of the same
system, seed and machine, and the table in ``docs/results.md`` is written from all of them; ``--write`` does only that.
With ``--minutes``, ``--start MODEL`` or ``--set reduction=2 max_steps=200``, in the place of the recipe's own, a run is
shown, not kept; ``--as-is`` measures the model that a recipe starts from, without any training. ``--clock cpu`` counts
the processor's time, also of threads waiting for one another: beside two other programs far fewer steps are left.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning import read_arguments
from results_page import keep, rounded, write_page
from sets import Case
from systems import SYSTEMS, Figures, Pairs

import napari_medseg as medseg
from napari_medseg.core import Labels, ModelCard, Progress
from napari_medseg.inference.device import cpu_count
from napari_medseg.models import load_model
from napari_medseg.training import Recipe
from napari_medseg.training.comparison import CompareOptions, compare


def predict(card: ModelCard, cases: Iterable[Case], tta: str) -> Pairs:
    """What a model makes of the cases, each beside its truth."""
    model = load_model(card.reference)
    pairs = []
    series: dict[Path, list[Case]] = {}
    for case in cases:
        series.setdefault(case.image, []).append(case)
    for path, members in series.items():
        image = medseg.read(path)
        if members[0].z is None:
            found = medseg.segment(image, model, tta=tta)
            pairs += [(found, _truth(found, case.truth)) for case in members]
            continue
        for case in members:
            assert case.z is not None
            found = medseg.segment(image, model, tta=tta, slices=f"{case.z}:{case.z + 1}")
            empty = np.zeros(found.data.shape, np.uint8)
            empty[case.z] = case.truth
            pairs.append((found, _truth(found, empty, frozenset({*range(len(found))} - {case.z}))))
    return pairs


def _truth(found: Labels, values: Any, missing: frozenset[int] = frozenset()) -> Labels:
    return replace(found, data=values, missing=missing, presence={}, not_computed=None, findings=(), look_at=())


def measure_start(name: str, seed: int) -> Figures:
    """Measure what a recipe starts from."""
    system = SYSTEMS[name]
    card = load_model(system.start or Recipe.read(system.recipe).start).card
    with tempfile.TemporaryDirectory() as folder:
        figures = system.measure(predict(card, system.split(Path(folder), seed).test, system.tta))
    return {"system": name, "seed": seed, "model": card.reference, "tta": system.tta, **figures}


def run(name: str, seed: int, start: str | None, changes: dict[str, Any], clock: str) -> Figures:
    """Train and measure once; ``start`` and ``changes`` are in place of the recipe's."""
    system = SYSTEMS[name]
    latest: dict[str, float] = {}

    def listen(progress: Progress) -> None:
        latest.update(progress.metrics)

    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_MEDSEG_HOME"] = f"{folder}/home"
        split = system.split(Path(folder) / "data", seed)
        recipe = Recipe.read(system.recipe)
        plan = recipe.plan(split.pairs, model=start or system.start, name="trained", classes=system.classes)
        options = plan.options.model_validate(plan.options.model_dump() | {"seed": seed} | changes)
        plan = plan.model_copy(update={"options": options})
        begin = time.perf_counter()
        extra: Figures = {}
        if system.starts:
            contest = CompareOptions(
                starts=system.starts, **{key: value for key, value in changes.items() if key == "max_minutes"}
            )
            result = compare(plan, contest, name="trained", report=listen)
            card = result.winner
            assert card is not None
            extra = {"minutes": contest.max_minutes, "winner": result.rows[0].candidate, "table": str(result)}
        else:
            card = medseg.train(plan, report=listen)
            extra = {"minutes": plan.options.max_minutes, "steps": int(latest.get("step", 0))}
        seconds = time.perf_counter() - begin
        figures = system.measure(predict(card, split.test, system.tta))
    return {
        "system": name, "seed": seed, "recipe": system.recipe, "tta": system.tta, "trained on": len(split.pairs),
        **extra, **figures,
        "seconds": round(seconds), "clock": clock, "machine": describe_machine(), "date": str(date.today()),
    }  # fmt: skip


def describe_machine() -> str:
    """The graphics card, or the processor and how many cores of it may be used."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = cpu_count()
    return f"{names[0] if names else platform.processor()}, {cores} core{'s' * (cores > 1)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("systems", nargs="*", metavar="NAME", help=f"Of {', '.join(SYSTEMS)}; all without any")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--start", metavar="MODEL", help="In place of the recipe's own, for a look")
    parser.add_argument("--minutes", type=float, help="In place of the recipe's own time, for a look")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="OPTION=VALUE", help="In place of the recipe's, for a look"
    )
    parser.add_argument("--as-is", action="store_true", help="Only measure what a recipe starts from")
    parser.add_argument("--write", action="store_true", help="Only write the table of what was measured")
    arguments = read_arguments(parser)
    if unknown := {*arguments.systems} - {*SYSTEMS}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    changes: dict[str, Any] = {
        key: None if value == "none" else value for key, _, value in (one.partition("=") for one in arguments.set)
    }
    if arguments.minutes:
        changes["max_minutes"] = arguments.minutes
    for_a_look = bool(arguments.start or changes or arguments.as_is)
    for seed in arguments.seeds if not arguments.write else ():
        for name in arguments.systems or SYSTEMS:
            if arguments.as_is:
                figures = measure_start(name, seed)
            else:
                figures = run(name, seed, arguments.start, changes, arguments.clock)
            print(json.dumps(rounded(figures)), flush=True)
            if not for_a_look:
                keep(figures)
                write_page()
    if not for_a_look:
        write_page()


if __name__ == "__main__":
    main()
