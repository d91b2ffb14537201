"""A folder with a folder for each patient: each is segmented by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from napari_medseg.core import Cancelled, InputError, ModelError
from napari_medseg.io.atomic import explained
from napari_medseg.io.findings import counted

from .job import CANCELLED, DONE, Extras, is_folder
from .targets import check_target

Work = Callable[[Path, Path, Extras], int]


def segment_patients(work: Work, source: Path, patients: Sequence[Path], output: Path, extras: Extras) -> int:
    """Do ``work`` (input, output, extras) for each patient; one who cannot be segmented is told and left out.

    Raises
    ------
    InputError, ModelError
        None can be segmented, or what is asked for suits one series only.
    OutputError
        The output is there already, or cannot be written.
    Cancelled
        Stopped before the first was finished.
    """
    if not is_folder(output):
        raise InputError(
            f"{source} holds {counted(len(patients), 'folder')} of images, which {output} cannot hold.",
            "Give a folder.",
        )
    if extras.probabilities is not None or extras.labelled is not None:
        raise InputError("--probabilities and --labelled are for one series.", "Segment the patients one by one.")
    check_target(output, source, overwrite=extras.overwrite or extras.shared)
    names = ", ".join(one.name for one in patients[:5]) + (" …" if len(patients) > 5 else "")
    print(f"Each folder in {source} is segmented by itself: {names}", file=sys.stderr)
    lost: list[InputError | ModelError] = []
    for number, patient in enumerate(patients):
        target = output / patient.name
        with explained(target):  # one that is there is a folder, even where its name has a dot
            target.mkdir(parents=True, exist_ok=True)
        report = extras.report and extras.report.with_stem(f"{extras.report.stem}-{patient.name}")
        try:
            if work(patient, target, replace(extras, report=report)) == CANCELLED:
                return CANCELLED
        except (InputError, ModelError) as error:
            lost.append(error)
            print(f"{patient.name} is left out: {error}", file=sys.stderr)
        except (Cancelled, KeyboardInterrupt):
            if number == len(lost):
                raise
            print(f"napari-medseg: Cancelled; what was finished is in {output}.", file=sys.stderr)
            return CANCELLED
        finally:
            with suppress(OSError):  # an empty one
                target.rmdir()
    if len(lost) == len(patients):
        raise lost[0]
    return DONE
