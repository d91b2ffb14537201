"""Raw pixel values to the network's input, on the device: one multiplication and one addition."""

from __future__ import annotations

import numpy as np
import torch

from napari_medseg.core import ModelCard

from .ranges import ValueRange


class Scale:
    """What `normalise` does to integers of 8 or 16 bit, for batches of patches.

    Parameters
    ----------
    card
        Its normalisation counts, and the channels of its input.
    value_range
        Values that become 0 and 1, from `measure_range`; equal ones make everything the same.
    """

    def __init__(self, card: ModelCard, value_range: ValueRange) -> None:
        values, (low, high) = card.normalisation, (np.asarray(end, np.float64) for end in value_range)
        mean, std = (np.array(n, np.float64) if n else d for n, d in ((values.mean, 0.0), (values.std, 1.0)))
        there = low < high
        inverse = np.where(there, 1 / np.where(there, high - low, 1), 0.0)
        first = -low * inverse
        ends = (0.0, 1.0) if values.clip else (-1e6, 1e6)
        rows = [inverse / std, (first - mean) / std, *((end - mean) / std for end in ends)]
        # Of each channel of the input: gain, offset, lowest and highest result.
        planes = np.stack([np.broadcast_to(row, card.channels) for row in rows])
        self._table = np.tile(planes, card.in_channels // card.channels).astype(np.float32)
        self._alike = bool((self._table == self._table[:, :1]).all())
        self._range = (low.max(), high.min()) if values.clip else (-np.inf, np.inf)
        self._kept: dict[tuple[torch.device, int, bool], list[torch.Tensor]] = {}

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Raw values (N, C, h, w) as the network's input, float32, on the same device and in the same layout."""
        values = batch.to(torch.float32)
        gain, offset, low, high = self._constants(values)
        # With the channels innermost, a row of pixels is one run of numbers for which the constants are laid out too:
        # several times faster than broadcasting over three numbers at a time.
        rows = values.permute(0, 2, 3, 1).flatten(2) if gain.ndim == 1 else values
        rows.mul_(gain).add_(offset)
        if self._goes_beyond(batch.dtype):
            torch.clamp(rows, low, high, out=rows)
        return values

    def _goes_beyond(self, dtype: torch.dtype) -> bool:
        limits = torch.iinfo(dtype)
        return limits.min < self._range[0] or limits.max > self._range[1]

    def _constants(self, values: torch.Tensor) -> list[torch.Tensor]:
        inner = not self._alike and not values.is_contiguous()
        key = (values.device, values.shape[-1] if inner else 0, inner)
        if key not in self._kept:
            table = torch.from_numpy(self._table).to(values.device)
            if self._alike:
                constants = [row[0] for row in table]
            elif inner:
                constants = [row.repeat(values.shape[-1]) for row in table]
            else:
                constants = [row[:, None, None] for row in table]
            self._kept[key] = constants
        return self._kept[key]
