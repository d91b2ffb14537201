"""What is known of every slice of a labels layer: corrected, accepted, held out, worth a look, without a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_medseg._layers import METADATA, threshold_of
from napari_medseg.editing.corrections import corrections_of


@dataclass(frozen=True)
class SliceStates:
    """The slices of one labels layer by what is known of them; a slice may be in several sets.

    Attributes
    ----------
    corrected
        The user painted in them.
    accepted
        The user declared them right.
    held_out
        They only measured the last training.
    suggested
        Most worth a look, best first, without those that are done.
    visited
        Suggestions the user was led to in this round through them.
    missing
        No result yet: 0 there does not mean background.
    by_hand
        Whether no model made the layer: slices are then painted, not corrected.
    presence
        Probability that a slice holds anything, where the model that made the layer says so.
    threshold
        Below it the model's gate empties the mask; of a model that gives no masks, a slice holds something from it on.
    filled
        Whether slices outside ``missing`` are known to hold a result.
    """

    corrected: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    held_out: frozenset[int] = frozenset()
    suggested: tuple[int, ...] = ()
    missing: frozenset[int] = frozenset()
    by_hand: bool = True
    filled: bool = False
    presence: Mapping[int, float] = field(default_factory=dict)
    threshold: float = 0.5
    visited: frozenset[int] = frozenset()

    @property
    def done(self) -> frozenset[int]:
        """Slices the user has dealt with."""
        return self.corrected | self.accepted

    @property
    def painted(self) -> str:
        """The word for slices the user painted in."""
        return "painted" if self.by_hand else "corrected"

    def next_suggested(self, z: int | None) -> int | None:
        """The best suggestion not visited yet, or the best again when all are; slice ``z``, in view, comes last."""
        return min(self.suggested, key=lambda s: (s == z, s in self.visited), default=None)

    def describe(self, z: int) -> str:
        """All that is known of a slice, in a few words."""
        words = [
            self.painted if z in self.corrected else "",
            "accepted" if z in self.accepted else "",
            "held out: only measures" if z in self.held_out else "",
            "look here next" if z in self.suggested else "",
            "no result yet" if z in self.missing else "",
        ]
        known = " · ".join(word for word in words if word) or "not looked at yet"
        said = self.presence.get(z)
        return known if said is None else f"{known} · {said:.0%} that it holds something"


def read_states(layer: Any) -> SliceStates:
    """Gather the states of a layer's slices from its corrections and its metadata."""
    corrections = corrections_of(layer)
    info = layer.metadata.get(METADATA)
    info = info if isinstance(info, dict) else {}
    corrected, accepted = frozenset(corrections.edited_slices()), corrections.accepted
    done = corrected | accepted
    return SliceStates(
        corrected=corrected,
        accepted=accepted,
        held_out=corrections.held_out,
        suggested=tuple(z for z in corrections.suggested if z not in done),
        missing=frozenset(info.get("missing", ())) - done,
        by_hand=not info.get("card"),
        filled="missing" in info,
        presence={int(z): float(chance) for z, chance in info.get("presence", {}).items()},
        threshold=threshold_of(info),
        visited=corrections.visited,
    )
