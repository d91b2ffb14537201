"""What an evaluation found: figures per slice and class, and their summary."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, median

from pydantic import BaseModel, ConfigDict

from napari_medseg.core import Finding
from napari_medseg.io.findings import counted

from .detection import Detection
from .metrics import METRICS


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Frozen):
    """One class of one slice. ``values`` is empty where the class is in neither mask: such a slice says nothing.

    A single value of None means that this figure does not exist there (precision when nothing was predicted).
    """

    slice: str
    value: int
    class_name: str
    true_positive: int
    false_positive: int
    false_negative: int
    values: dict[str, float | None]

    @property
    def both_empty(self) -> bool:
        """Whether neither mask has a pixel of this class."""
        return not (self.true_positive or self.false_positive or self.false_negative)


class Summary(_Frozen):
    """One metric of one class over all slices that have a figure.

    Attributes
    ----------
    pooled
        Of all pixels of all slices together; None for distances.
    scored, both_empty, undefined
        Slices with a figure; slices left out because the class is in neither mask; slices without such a figure.
    """

    value: int
    class_name: str
    metric: str
    mean: float | None
    median: float | None
    worst: float | None
    worst_slice: str
    pooled: float | None
    scored: int
    both_empty: int
    undefined: int


class Report(_Frozen):
    """The result of `evaluate`.

    Attributes
    ----------
    rows
        One per slice and class; none of slices whose model gives no masks.
    summary
        One per class and metric.
    unit
        Of the distances: ``"mm"``, ``"um"`` or ``"px"``.
    missing
        Slices that hold no result (or no readable truth) and are therefore not scored.
    unmatched
        Slices of the prediction without truth, and of the truth without prediction: not scored.
    detection
        Which slices hold anything at all; None of slides.
    """

    rows: tuple[Row, ...]
    summary: tuple[Summary, ...]
    unit: str = "px"
    missing: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    detection: Detection | None = None

    def figure(self, metric: str = "dice", value: int | None = None) -> Summary:
        """Summary of one metric, of the class with this value (default: the first class)."""
        for entry in self.summary:
            if entry.metric == metric and value in (None, entry.value):
                return entry
        raise KeyError(f"no {metric!r} of class {value}")

    def to_json(self) -> str:
        """The whole report as JSON text."""
        return self.model_dump_json(indent=2)

    def table(self) -> str:
        """The summary as plain text, followed by what was left out and what should be known."""
        head = ("class", "metric", "mean", "median", "worst", "in slice", "pooled", "slices")
        lines = [head, *(self._cells(entry) for entry in self.summary)] if self.summary else []
        widths = [max(len(line[i]) for line in lines) for i in range(len(head) if lines else 0)]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        slices = self.detection.lines() if self.detection is not None and self.detection.is_asked else []
        return "\n".join([*text, *slices, *self.notes()])

    def _cells(self, entry: Summary) -> tuple[str, ...]:
        metric = METRICS[entry.metric]
        title = f"{metric.title} ({self.unit})" if metric.physical else metric.title
        figures = (entry.mean, entry.median, entry.worst)
        cells = ["-" if f is None else f"{f:.4f}" for f in (*figures, entry.pooled)]
        return (entry.class_name, title, *cells[:3], entry.worst_slice or "-", cells[3], str(entry.scored))

    def notes(self) -> list[str]:
        """What was left out, and what should be known."""
        notes = []
        for entry in self.summary:
            if entry.both_empty and entry.metric == "dice":
                notes.append(f"{entry.class_name}: in neither mask on {counted(entry.both_empty, 'slice')}, left out.")
            if entry.undefined:
                title = METRICS[entry.metric].title
                notes.append(
                    f"{entry.class_name}: {title} does not exist on {counted(entry.undefined, 'slice')}, left out."
                )
        if self.missing:
            notes.append(f"No result on {counted(len(self.missing), 'slice')}, not scored: {_listed(self.missing)}.")
        if self.unmatched:
            notes.append(
                f"No partner for {counted(len(self.unmatched), 'slice')}, not scored: {_listed(self.unmatched)}."
            )
        return [*notes, *(finding.message for finding in self.findings)]


def _listed(names: tuple[str, ...], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def summarise(rows: Iterable[Row]) -> tuple[Summary, ...]:
    """Mean, median, worst and pooled figure of every metric of every class."""
    by_class: dict[int, list[Row]] = {}
    for row in rows:
        by_class.setdefault(row.value, []).append(row)
    return tuple(_summary(group, name) for group in by_class.values() for name in METRICS)


def _summary(rows: list[Row], name: str) -> Summary:
    metric = METRICS[name]
    scored = [row for row in rows if not row.both_empty]
    figures = [(value, row.slice) for row in scored if (value := row.values[name]) is not None]
    values = [value for value, _ in figures]
    worst = (min if metric.higher_is_better else max)(figures, key=lambda f: f[0], default=(None, ""))
    sums = (
        sum(r.true_positive for r in rows),
        sum(r.false_positive for r in rows),
        sum(r.false_negative for r in rows),
    )
    return Summary(
        value=rows[0].value,
        class_name=rows[0].class_name,
        metric=name,
        mean=fmean(values) if values else None,
        median=median(values) if values else None,
        worst=worst[0],
        worst_slice=worst[1],
        pooled=metric.pool(*sums) if metric.pool else None,
        scored=len(values),
        both_empty=len(rows) - len(scored),
        undefined=len(scored) - len(values),
    )
