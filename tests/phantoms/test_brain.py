from __future__ import annotations

import numpy as np

from napari_medseg.phantoms.brain import brain_sample, draw_head
from napari_medseg.phantoms.head import SEQUENCES


def test_a_tumour_takes_up_a_part_of_the_slices_and_is_bright_on_flair() -> None:
    values, mask, spacing = draw_head(3, slices=14, size=64).arrays()
    assert values.shape == (14, 64, 64, 3)
    assert mask.shape == (14, 64, 64)
    holds = mask.any(axis=(1, 2))
    assert 2 <= holds.sum() <= 9
    assert np.all(np.diff(np.flatnonzero(holds)) == 1), "one lump"
    flair, before, after = (values[..., SEQUENCES.index(name)] for name in ("FLAIR", "T1", "T1 after contrast"))
    brain = (values[..., 0] > 90) & (mask == 0)
    assert np.median(flair[mask == 1]) > 1.3 * np.median(flair[brain])
    assert np.median(before[mask == 1]) < np.median(before[brain])
    assert np.percentile(after[mask == 1], 95) > np.percentile(before[mask == 1], 95)
    assert spacing[0] > spacing[1] == spacing[2]


def test_a_seed_is_a_person() -> None:
    first, again, other = (draw_head(seed, slices=6, size=48).arrays()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_varied_heads_differ_in_contrast_and_some_have_one_sequence_only() -> None:
    made = [draw_head(seed, slices=8, size=48, varied=True).arrays() for seed in range(24)]
    sizes = [int(mask.sum()) for _, mask, _ in made]
    assert max(sizes) > 5 * np.median(sizes), "large and small ones"
    fat = [np.percentile(values[..., 0], 99) / np.median(values[..., 0][values[..., 0] > 60]) for values, _, _ in made]
    assert max(fat) > 1.3 * min(fat), "the scalp is not always as bright"
    alike = [bool((values == values[..., :1]).all()) for values, _, _ in made]
    assert 0 < sum(alike) < 12
    bright = [values[..., 1][mask == 1].mean() > values[..., 1][(values[..., 1] > 60) & (mask == 0)].mean() * 0.9
              for values, mask, _ in made if mask.any()]  # fmt: skip
    assert np.mean(bright) > 0.6, "mostly bright on FLAIR, but for cysts"
    healthy = draw_head(1, slices=6, size=48, varied=True, tumour=False).arrays()[1]
    assert not healthy.any()


def test_varied_tumours_are_alike_throughout_or_partly_darker_than_the_brain() -> None:
    dark = []
    for seed in range(40):
        values, mask, _ = draw_head(seed, slices=12, size=64, varied=True).arrays()
        flair = values[..., SEQUENCES.index("FLAIR")].astype(float)
        brain = np.median(flair[(flair > 0.5 * np.median(flair[flair > 20])) & (mask == 0)])
        if mask.sum() > 80:
            dark.append((flair[mask == 1] < 0.85 * brain).mean())
    assert np.median(dark) < 0.02
    assert sum(share > 0.1 for share in dark) > 1


def test_only_varied_heads_have_a_base_of_the_skull_in_front_of_the_lowest_brain() -> None:
    """Of air, bone and fat: there, neighbouring pixels differ more than in a brain."""

    def rough(varied: bool) -> float:
        found = []
        for seed in range(6):
            values, _, _ = draw_head(seed, slices=12, size=96, varied=varied, tumour=False).arrays()
            front = values[2, 22:40, 38:58, 0].astype(float)
            found.append(front.std() / front.mean())
        return float(np.median(found))

    assert rough(varied=True) > 1.5 * rough(varied=False)


def test_healthy_heads_have_no_tumour_and_slices_have_names() -> None:
    image, truth = brain_sample(4, slices=6, size=48, tumour=False, name="case")
    assert not np.asarray(truth.data).any()
    assert image.channels == 3
    assert image.names == truth.names == tuple(f"case_{n}.png" for n in range(1, 7))
