"""Which models suit an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_medseg.core import Image, ModelError
from napari_medseg.inference.normalise import SliceReader
from napari_medseg.inference.suits import count_channels, why_not
from napari_medseg.models import Model

MakeImage = Callable[..., Image]
MakeModel = Callable[..., Model]


def test_why_not_explains_channels(make_model: MakeModel) -> None:
    grey, rgb = make_model().card, make_model(channels=3).card
    assert why_not(1, grey) == why_not(3, rgb) == ""
    assert why_not(1, rgb) == "needs RGB, this is grey"
    assert why_not(3, grey) == "needs grey, this is RGB"
    assert why_not(5, rgb) == "needs RGB, this has 5 channels"
    assert why_not(3, grey, meaning="channels") == "needs grey, this has 3 channels"


def test_equal_channels_count_as_grey(make_image: MakeImage, make_model: MakeModel) -> None:
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    coloured = grey.copy()
    coloured[3, 3, 0] += 1
    assert count_channels(make_image(grey, "YXC")) == 1
    assert count_channels(make_image(coloured, "YXC")) == 3
    with pytest.raises(ModelError, match="needs grey"):
        SliceReader(make_image(coloured, "YXC"), make_model().card, (0, 100))(0)
