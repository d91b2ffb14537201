"""The page of results, written from the runs that were kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from systems import SYSTEMS, Figures

from napari_medseg.training import Recipe

RUNS = Path(__file__).with_name("five_systems.json")
PAGE = Path(__file__).parents[1] / "docs" / "results.md"


def keep(figures: Figures) -> None:
    """Write a run beside the others."""

    def key(one: Figures) -> tuple[Any, ...]:
        return one["system"], one["seed"], one["machine"]

    runs = [one for one in read_runs() if key(one) != key(figures)] + [rounded(figures)]
    order = [*SYSTEMS]
    runs.sort(key=lambda one: (order.index(one["system"]), one["machine"], one["seed"]))
    RUNS.write_text("[\n" + ",\n".join(json.dumps(one) for one in runs) + "\n]\n")


def rounded(figures: Figures) -> Figures:
    """Floats to four places."""

    def short(value: Any) -> Any:
        return round(float(value), 4) if isinstance(value, float | np.floating) else value

    return {k: [short(v) for v in value] if isinstance(value, list) else short(value) for k, value in figures.items()}


def read_runs() -> list[Figures]:
    """All runs that were kept."""
    return json.loads(RUNS.read_text()) if RUNS.exists() else []


PREFACE = """# Results

The published walk-throughs this project grew out of, each by one of its recipes, measured on real images that were
never trained on. `python benchmarks/five_systems.py` trains, measures, and writes this page from
`benchmarks/five_systems.json`; the image sets are public (benchmarks/README.md) and not part of the project. What the
walk-throughs reported was measured on other images than ours: for orientation only.

Mean Dice over cases; ± is half the distance between the best and the worst seed. Each seed measures other patients or
images, but for lungs and for the femur in CT: there all seeds measure the same, which are counted once. 5 %: the fifth
percentile of all figures. IoU, recall and precision stand below the table where a run has them, as means over cases.
Minutes are those of training; with `--clock cpu` they are processor time divided by the number of cores, as other work
ran on the machine.
A task that is not in the table has not been measured; each figure is of the recipe and the command as they were on its
day.
"""


def write_page() -> None:
    """The table of all runs, in Markdown."""
    runs = read_runs()
    groups: dict[tuple[str, str], list[Figures]] = {}
    for one in runs:
        groups.setdefault((one["system"], one["machine"]), []).append(one)
    head = ("System", "reported", "aim", "Dice", "median", "5 %", "cases", "seeds", "minutes", "machine")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    notes, machines = [], [*dict.fromkeys(one["machine"] for one in runs)]
    for (name, machine), own in groups.items():
        system = SYSTEMS[name]
        means = [float(np.mean(one["dice"])) for one in own]
        dice = [d for one in own for d in one["dice"]]
        spread = f" ± {(max(means) - min(means)) / 2:.3f}" if len(own) > 1 else ""
        cases = len(own[0]["dice"]) if system.same else len(dice)
        minutes = "/".join(dict.fromkeys(f"{one['minutes']:g}" for one in own))
        cells = (
            system.title, system.reported or "–", system.aim or "–", f"**{np.mean(means):.3f}**{spread}",
            f"{np.median(dice):.3f}", f"{np.percentile(dice, 5):.3f}", f"{cases} × {system.unit}", str(len(own)),
            minutes, str(machines.index(machine) + 1),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
        notes.append(describe(name, own))
    numbered = [f"{i}. {machine}" for i, machine in enumerate(machines, 1)]
    PAGE.write_text("\n".join([PREFACE, *lines, "", "Machines:", "", *numbered, "", *notes]) + "\n")


KNOWN = {"system", "seed", "recipe", "tta", "trained on", "minutes", "steps", "dice", "seconds", "clock", "machine",
         "date", "table", "winner"}  # fmt: skip


def describe(name: str, own: list[Figures]) -> str:
    """What else was measured of one system, and the command."""
    seeds = " ".join(str(one["seed"]) for one in own)
    clock = " --clock cpu" if own[0]["clock"] == "cpu" else ""
    minutes = own[0]["minutes"]
    if minutes != Recipe.read(own[0]["recipe"]).options.get("max_minutes") and not SYSTEMS[name].starts:
        clock += f" --minutes {minutes:g}"  # the recipe has another time by now
    start = SYSTEMS[name].start or Recipe.read(own[0]["recipe"]).start
    kind = "" if ":" in start else "the built-in model "
    told = (kind or SYSTEMS[name].start) and not SYSTEMS[name].starts
    begun = f", from {kind}`{start}`" if told else ""
    text = [
        f"**{SYSTEMS[name].title}**: recipe `{own[0]['recipe']}`{begun}.",
        f"Images or series that train: {own[0]['trained on']}.",
    ]
    text += [SYSTEMS[name].remark] if SYSTEMS[name].remark else []
    if own[0]["tta"] != "none":
        text.append(f"Segmented with `--tta {own[0]['tta']}`.")
    values: dict[str, list[float]] = {}
    for one in own:
        for k, value in one.items():
            if k not in KNOWN and value is not None:
                values.setdefault(k, []).append(value)
    if values:
        some = {k: f" ({len(v)} of {len(own)} seeds)" if len(v) < len(own) else "" for k, v in values.items()}
        text.append(", ".join(f"{k} {np.mean(v):.3f}{some[k]}" for k, v in values.items()) + ".")
    days = ", ".join(dict.fromkeys(one["date"] for one in own))
    text.append(f"`python benchmarks/five_systems.py {name} --seeds {seeds}{clock}` ({days})")
    tables = [f"\n```\n{one['table']}\n```" for one in own if "table" in one]
    return " ".join(text) + "".join(tables) + "\n"
