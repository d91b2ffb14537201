"""What a run did, as a JSON file: model, options, device, time, what is missing and what should be known."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from napari_medseg import __version__
from napari_medseg.core import Finding, Image, Labels, ModelCard, Progress, Reporter
from napari_medseg.inference import SegmentOptions
from napari_medseg.inference.presence import EMPTY, NO_MASK, find_empty
from napari_medseg.inference.shares import Shares, measure_shares
from napari_medseg.inference.slides.tissue import Tissue
from napari_medseg.io.atomic import write_text
from napari_medseg.io.findings import name_runs

from .masks import slice_of

MOST = 40
"""Runs of slices that are named; more are counted."""


@dataclass
class Record:
    """Figures of one ``segment`` run, filled while it goes on.

    Attributes
    ----------
    slide
        Of a slide: windows of the network, how many were done before and a second, the share of tissue, rectangles
        (first and last row, first and last column) that could not be read, and what was settled at its begin.
    presence
        Probability that a slice holds anything, by its name, where the model says so.
    threshold
        Below it a mask is emptied; where the model gives no masks (``outlined``), a slice holds something from it on.
    positive
        Slices that hold something, where the model says so of slices; see `Labels.is_positive`.
    tissue
        Of pictures of stained tissue, by name: its area, and that of each class within it.
    done
        What was segmented, in words, where that is not slices.
    """

    input: str
    output: str
    model: str
    sha256: str
    options: SegmentOptions
    version: str = __version__
    device: str = ""
    seconds: float = 0.0
    cancelled: bool = False
    slices: int = 0
    missing: list[str] = field(default_factory=list)
    look_at: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    presence: dict[str, float] = field(default_factory=dict)
    threshold: float | None = None
    outlined: bool = True
    positive: list[str] = field(default_factory=list)
    slide: dict[str, object] | None = None
    tissue: dict[str, Shares] = field(default_factory=dict)

    done: str = field(default="", repr=False)
    _start: float = field(default_factory=time.monotonic, repr=False)
    _said: set[str] = field(default_factory=set, repr=False)
    _runs: list[str] = field(default_factory=list, repr=False)
    _asked: int = field(default=0, repr=False)
    _chances: dict[int, float] = field(default_factory=dict, repr=False)

    def watching(self, report: Reporter) -> Reporter:
        """The same reporter, which also remembers the device and the figures that finished slices name, and what
        was said."""

        def watch(progress: Progress) -> None:
            self._said.add(progress.message)
            if "presence" in progress.metrics:
                self._chances[slice_of(progress)] = progress.metrics["presence"]
            if progress.result is not None and progress.message:
                self.device = progress.message
            report(progress)

        return watch

    def add(self, labels: Labels, findings: Iterable[Finding]) -> None:
        """Count the slices of a result."""
        names = labels.slice_names
        self.slices += len(labels) - len(labels.missing)
        self.missing += [names[z] for z in sorted(labels.missing)]
        new = [one for one in findings if one.code not in (EMPTY, NO_MASK)]
        self.findings = [*dict.fromkeys((*self.findings, *new))]
        self.presence |= {names[z]: round(self._chances[z], 4) for z in sorted(self._chances)}
        self._chances.clear()
        if labels.presence:
            self.outlined = labels.outlined
            self.positive += [names[z] for z in labels.positive]
            self._asked += len(labels) - len(labels.missing)
            self._runs += name_runs(names, labels.positive)

    def measure(self, image: Image, labels: Labels, tissue: Tissue | None = None) -> None:
        """Note how much of the tissue, where there is any, each class takes up."""
        own = labels.slice_names
        names = own if labels.is_stack or image.source is None else (image.source.name,)
        found = measure_shares(image, labels, tissue)
        self.tissue |= {name: one for name, one in zip(names, found, strict=True) if one is not None}

    def note_empty(self, card: ModelCard) -> None:
        """Say how many slices of the whole run were taken as empty."""
        self.threshold = card.presence
        self.findings += find_empty([*self.presence.items()], card, self.options)

    @property
    def found(self) -> str:
        """Which of several slices hold something, in words; empty where the model does not say so of slices."""
        if self._asked < 2:
            return ""
        named = ", ".join(self._runs[:MOST]) + (f" and {len(self._runs) - MOST} more" * (len(self._runs) > MOST))
        return f"{len(self.positive)} of {self._asked} slices hold something{f': {named}' if named else ''}"

    def lose(self, name: str, *findings: Finding) -> None:
        """Note an image that has no result."""
        self.missing.append(name)
        self.findings += findings

    @property
    def unsaid(self) -> list[Finding]:
        """Findings that nothing was said of while the work went on."""
        return [finding for finding in self.findings if finding.message not in self._said]

    def write(self, target: Path) -> None:
        """Write it as JSON."""
        self.seconds = round(time.monotonic() - self._start, 3)
        left_out = {"done"} if self.slide is not None else {"done", "slide"}
        shown = {k: v for k, v in vars(self).items() if not k.startswith("_") and k not in left_out}
        write_text(target, TypeAdapter(dict[str, object]).dump_json(shown, indent=2).decode())
