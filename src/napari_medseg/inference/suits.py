"""Which models suit an image: by its channels, and by what took it."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medseg.core import Finding, Image, ModelCard, ModelError, are_swapped, same_names

from .ranges import sample_slices


def why_not(image_channels: int, card: ModelCard, alike: int = 1, meaning: str = "") -> str:
    """Why a model does not take images of so many channels, for pickers; empty when it does.

    Parameters
    ----------
    image_channels
        From `count_channels`, so that RGB files with nothing but grey in them fit grey models.
    card
        Of the model.
    alike
        `Image.alike`, so that they fit RGB models as well: a scanner's sequences may be copies of one.
    meaning
        `Image.meaning`, which tells three sequences from RGB.
    """
    if image_channels == card.channels or (image_channels == 1 and alike == card.channels):
        return ""
    has = {1: "is grey", 3: "is RGB" if meaning != "channels" else ""}.get(image_channels)
    return f"needs {card.takes}, this {has or f'has {image_channels} channels'}"


def count_channels(image: Image) -> int:
    """Channels that hold something of their own: 1 when all channels of the sampled slices are equal.

    Parameters
    ----------
    image
        A few of its slices are read.

    Returns
    -------
    int
        Its number of channels, or 1.
    """
    if image.channels == 1:
        return 1
    grey = all((part == part[..., :1]).all() for part in sample_slices(image))
    return 1 if grey else image.channels


def fits(image: Image, channels: int) -> bool:
    """Whether networks of so many channels take the image as it is.

    RGB files may hold nothing but grey, and grey ones several channels that are alike.
    """
    # Only a grey network asks for a look at the pixels.
    own = count_channels(image) if channels == 1 else image.channels
    return own == channels or (own == 1 and image.alike == channels)


def strangeness(image: Image, card: ModelCard) -> int:
    """How much speaks against a model for the image, beside its channels; 0 where nothing does."""
    colors = {"RGB": card.is_rgb, "channels": not card.is_rgb}
    other = bool(why_strange(image, card) or why_other_channels(image.channel_names, card))
    other = other or not colors.get(image.meaning, True)
    known = image.geometry.known
    # What models take as a whole are pictures without a scale, as X-rays often are; scans and slides have one.
    unlike = known == (card.longest is not None)
    return 4 * other + 2 * unlike + (card.pixel_size is not None and not known)


def why_strange(image: Image, card: ModelCard) -> str:
    """That a model is for images that something else took, for pickers; empty when it is not, or nothing tells."""
    if not image.modality or not card.modality or image.modality == card.modality:
        return ""
    return f"for {card.modality}, this is {image.modality}"


def find_other_kind(image: Image, card: ModelCard) -> tuple[Finding, ...]:
    """What there is to say where something else took the image than what the model is for, or where its channels are
    called otherwise."""
    found = []
    if reason := why_strange(image, card):
        found.append(Finding("OTHER_KIND", f"The model {card.reference} is {reason}: its outlines mean little."))
    if reason := why_other_channels(image.channel_names, card):
        text = f"The model {card.reference} {reason}: its outlines mean little unless they show the same."
        found.append(Finding("OTHER_CHANNELS", text))
    return tuple(found)


def why_other_channels(names: Sequence[str], card: ModelCard) -> str:
    """That a model has learnt from channels of other names, or in another order; empty where nothing tells."""
    if not names or len(names) != len(card.channel_names) or same_names(names, card.channel_names):
        return ""
    return f"has learnt from {', '.join(card.channel_names)}, this has {', '.join(names)}"


def why_swapped(names: Sequence[str], card: ModelCard) -> str:
    """That an image has the model's channels in another order, so that it cannot be used; else empty."""
    return why_other_channels(names, card) if are_swapped(names, card.channel_names) else ""


def check_order(image: Image, card: ModelCard) -> None:
    """Raise ModelError when the image has the model's channels in another order."""
    if why_swapped(image.channel_names, card):
        called = image.source.name if image.source else "The image"
        ours, theirs = ", ".join(image.channel_names), ", ".join(card.channel_names)
        what = "Give its files" if image.others else "Save it with its channels"
        raise ModelError(
            f"{called} has the channels {ours}, the model {card.reference} has learnt from {theirs}.",
            f"{what} in the order of the model.",
        )


def check_channels(image: Image, card: ModelCard) -> None:
    """Raise ModelError when the model does not take this image's channels, or has them in another order."""
    if not fits(image, card.channels):
        reason = why_not(image.channels, card, image.alike, image.meaning)
        lacks = image.channels < card.channels and not card.is_rgb
        what = "join the images of all channels (--channel, Layers > Data)" if lacks else "another image"
        raise ModelError(f"The model {card.reference} {reason}.", f"Choose another model or {what}.")
    check_order(image, card)
