"""At which size slices go through a network: by their pixels, and by what the card says."""

from __future__ import annotations

from napari_medseg.core import Finding, Image, InputError, ModelCard, lengths_in_words

PIXEL_SIZE_TOLERANCE = 0.05
LARGEST_RATIO = 8.0

SQUARE = 1.25
"""Times its shorter side up to which a pixel passes for square with a model that names no pixel size."""

FAR = 1.5
"""Times a length that a model has learnt from, from which on another is strange to it."""

Shape = tuple[int, int]


def square_side(image: Image) -> float | None:
    """Side in mm of the square pixels that an image has, or that become of those it has; None where it is not known.

    That is the shorter side, so that nothing is lost; or more, so that none is divided into more than `LARGEST_RATIO`.
    """
    sides = image.geometry.pixel_sides
    if sides is None or max(sides) <= SQUARE * min(sides):
        return image.geometry.pixel_size
    return max(min(sides), max(sides) / LARGEST_RATIO)


def input_shape(image: Image, card: ModelCard) -> tuple[Shape, tuple[Finding, ...]]:
    """Shape (Y, X) of the image's slices as the card asks for it, and what there is to say about it.

    That is at the card's pixel size and reduction, or with a longer side of as many pixels as it names. Pixels of known
    size that are clearly not square become so for every model: a network is to see the same shapes in all images.

    Raises
    ------
    InputError
        The pixel sizes differ so much that one of them must be wrong.
    """
    if card.longest is None and card.pixel_size is not None:
        (height, width), findings = _at_pixel_size(image, card, card.pixel_size)
    else:
        (height, width), findings = _made_square(image, card)
    if card.longest is None:
        return (max(1, round(height / card.reduction)), max(1, round(width / card.reduction))), findings
    ratio = card.longest / max(height, width)
    return (max(1, round(height * ratio)), max(1, round(width * ratio))), findings


def _at_pixel_size(image: Image, card: ModelCard, wanted: float) -> tuple[Shape, tuple[Finding, ...]]:
    have, size = image.geometry.pixel_sides, lengths_in_words(wanted)
    if have is None:
        text = f"The image's pixel size is not known; it was taken as {size}, that of the model {card.reference}."
        return _resampled(image, (1, 1)), (Finding("NO_SPACING", text),)
    ratios = have[0] / wanted, have[1] / wanted
    if not all(1 / LARGEST_RATIO <= round(ratio, 3) <= LARGEST_RATIO for ratio in ratios):
        raise InputError(
            f"The image's pixels are {lengths_in_words(*have)}, the model {card.reference} was trained at {size}.",
            "Correct the image's spacing or choose another model.",
        )
    shape = _resampled(image, ratios)
    if shape == _resampled(image, (1, 1)):
        return shape, ()
    text = (
        f"The slices were resampled from {lengths_in_words(*have)} to {size}, the pixel size of the model "
        f"{card.reference}."
    )
    return shape, (Finding("PIXEL_SIZE", text),)


def _made_square(image: Image, card: ModelCard) -> tuple[Shape, tuple[Finding, ...]]:
    sides, side = image.geometry.pixel_sides, square_side(image)
    if sides is None or side is None:
        return _resampled(image, (1, 1)), ()
    strange = _about_scale(side, card)
    if side == image.geometry.pixel_size:
        return _resampled(image, (1, 1)), strange
    text = (
        f"The slices were resampled from {lengths_in_words(*sides)} to {lengths_in_words(side)}: the model "
        f"{card.reference} takes square pixels."
    )
    return _resampled(image, (sides[0] / side, sides[1] / side)), (Finding("PIXEL_SIZE", text), *strange)


def _about_scale(side: float, card: ModelCard) -> tuple[Finding, ...]:
    """What to say of pixels that are much smaller or larger than all that a model has learnt from."""
    if not card.range_in_words or card.pixel_range is None:
        return ()
    low, high = card.pixel_range
    if low / FAR <= side <= high * FAR:
        return ()
    text = (
        f"The pixels are {lengths_in_words(side)}, the model {card.reference} has learnt from {card.range_in_words}: "
        "correct the spacing if it is wrong, resample the image to such pixels, or choose another model."
    )
    return (Finding("OTHER_SCALE", text),)


def _resampled(image: Image, ratios: tuple[float, float]) -> Shape:
    """Shape of slices whose pixels are so many times as high and wide as they are to be; nearly 1 leaves them."""
    height, width = (
        n if abs(ratio - 1) <= PIXEL_SIZE_TOLERANCE else max(1, round(n * ratio))
        for n, ratio in zip(image.shape[-2:], ratios, strict=True)
    )
    return height, width
