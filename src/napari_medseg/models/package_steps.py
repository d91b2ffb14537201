"""How images are normalised, in the words of bioimage.io."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ModelCard, Normalisation


def sample_range(normalisation: Normalisation) -> tuple[float, float]:
    """Values of the sample."""
    if normalisation.method == "percentile":
        return 0.0, 255.0
    if normalisation.method == "median":  # scaled before
        return -0.1, 1.1
    beyond = 0.1 * (normalisation.high - normalisation.low)  # so that clipping shows
    return normalisation.low - beyond, normalisation.high + beyond


def prepare(values: npt.NDArray[np.float32], card: ModelCard) -> npt.NDArray[np.float32]:
    """What the steps of `list_steps` make of the sample."""
    for step in list_steps(card):
        kwargs = step["kwargs"]
        if step["id"] == "scale_range":
            low, high = (float(np.percentile(values, kwargs[name])) for name in ("min_percentile", "max_percentile"))
            values = (values - low) / (high - low + kwargs["eps"])
        elif step["id"] == "scale_linear":
            values = values * kwargs["gain"] + kwargs["offset"]
        elif step["id"] == "clip":
            values = values.clip(0, 1)
        else:
            mean, std = (np.reshape(np.float32(kwargs[name]), (-1, 1, 1)) for name in ("mean", "std"))
            values = (values - mean) / std
    return values.astype(np.float32)


def list_steps(card: ModelCard) -> list[dict[str, Any]]:
    """Our normalisation in the words of bioimage.io.

    Its percentiles are those of one image; ours are those of the whole series, which the documentation says. It has no
    word for medians: values come as the documentation says.
    """
    ours = card.normalisation
    steps: list[dict[str, Any]] = []
    if ours.method == "percentile":
        # Its bounds are tighter than ours: some percentile above 1 is its highest.
        bounds = {"min_percentile": min(max(ours.low, 0.0), 99.0), "max_percentile": min(max(ours.high, 1.01), 100.0)}
        steps.append({"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], **bounds, "eps": 1e-6}})
    elif ours.method == "window" and (ours.low, ours.high) != (0.0, 1.0):
        span = ours.high - ours.low
        steps.append({"id": "scale_linear", "kwargs": {"gain": 1 / span, "offset": -ours.low / span}})
    if ours.clip:
        steps.append({"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}})
    if len(ours.mean) == 1:
        mean, std = ours.mean[0], ours.std[0]
        steps.append({"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": mean, "std": std}})
    elif ours.mean:
        times = card.in_channels // card.channels
        along = {"mean": [*ours.mean] * times, "std": [*ours.std] * times, "axis": "channel"}
        steps.append({"id": "fixed_zero_mean_unit_variance", "kwargs": along})
    return steps


def said_of_values(ours: Normalisation) -> str:
    """What the steps cannot say."""
    if ours.method == "percentile":
        return "Trained with the percentiles of the whole series, not of each slice."
    if ours.method == "median":
        return (
            f"Before anything else, scale each channel by itself, over the whole series: its {ours.low:g}th percentile "
            f"to 0, and {ours.high:g} times as far from that as the median of what is brighter than the mean to 1."
        )
    return ""


def name_steps(steps: Any) -> list[str]:
    """What the steps of a description are called, in formats 0.4 and 0.5; conversions of the type say nothing."""
    names = [str(step.get("id") or step.get("name")) for step in steps or []]
    return [name for name in names if name != "ensure_dtype"]


def read_steps(steps: Any) -> Normalisation | None:
    """The normalisation that a description's steps are; None where there are none, or ours cannot do the same."""
    left = [(n, dict(s.get("kwargs") or {})) for s in steps or [] for n in name_steps([s])]
    told: dict[str, Any] = {"method": "window", "low": 0.0, "high": 1.0, "clip": False}
    if not left:
        return None
    if left[0][0] == "scale_range":
        kwargs = left.pop(0)[1]
        told |= {
            "method": "percentile", "low": kwargs.get("min_percentile", 0.0),
            "high": kwargs.get("max_percentile", 100.0),
        }  # fmt: skip
    elif left[0][0] == "scale_linear":
        gain, offset = _one(left[0][1].get("gain", 1.0)), _one(left[0][1].get("offset", 0.0))
        if gain is None or offset is None:
            return None
        left.pop(0)
        told |= {"low": -offset / gain, "high": (1 - offset) / gain}
    if left and left[0][0] == "clip" and left[0][1].get("min") == 0 and left[0][1].get("max") == 1:
        left.pop(0)
        told["clip"] = True
    if left and left[0][0] == "fixed_zero_mean_unit_variance":
        kwargs = left.pop(0)[1]
        for name in ("mean", "std"):
            value = kwargs[name]
            told[name] = tuple(value) if isinstance(value, list) else (value,)
    return None if left else Normalisation(**told)


def _one(value: Any) -> float | None:
    """A number, or the one number that a list repeats; None where channels differ."""
    if not isinstance(value, list):
        return float(value)
    return float(value[0]) if len({*value}) == 1 else None
