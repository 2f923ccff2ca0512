"""What the pipeline takes as a slice or a stack, and how it refuses the rest."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidImage


def as_slice(image: ArrayLike, number: int | None = None) -> NDArray[Any]:
    """Give the image back as an array, or say why it is no slice.

    Parameters
    ----------
    image : array
    number : int, optional
        The slice's number, for the message.

    Returns
    -------
    (H, W) array of integers or finite floats

    Raises
    ------
    InvalidImage
        If it is anything else.
    """
    pixels = as_pixels(image, number)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        refuse_not_finite(pixels, number)
    return pixels


def as_pixels(image: ArrayLike, number: int | None = None) -> NDArray[Any]:
    """Do as `as_slice`, but without a look at every pixel: some may not be finite."""
    where = _name(number)
    if isinstance(image, np.ma.MaskedArray):
        raise InvalidImage(f"{where} is a masked array; fill it with `.filled(value)` first.")
    pixels = as_array(image, where)
    if pixels.dtype.kind not in "iuf":
        raise InvalidImage(
            f"{where} has pixels of type {pixels.dtype}; give real numbers (integers or floats)."
        )
    if pixels.ndim != 2:
        hint = "; use create_skull_masks for a stack of slices" if pixels.ndim == 3 else ""
        raise InvalidImage(
            f"{where} has {pixels.ndim} dimension(s), shape {pixels.shape}; "
            f"give one 2D slice (rows, columns){hint}."
        )
    if pixels.size == 0:
        raise InvalidImage(f"{where} is empty, shape {pixels.shape}; give at least one pixel.")
    return pixels


def as_array(values: ArrayLike, what: str) -> NDArray[Any]:
    """Give the values as an array, the one they are or a new one; refuse rows of several lengths.

    Raises
    ------
    InvalidImage
        If there is no array of them; `what` they are begins the sentence.
    """
    try:
        return np.asanyarray(values)
    except ValueError as error:
        raise InvalidImage(
            f"{what} has rows of several lengths; give a rectangle of numbers."
        ) from error


def refuse_not_finite(pixels: NDArray[Any], number: int | None = None) -> NoReturn:
    """Say how many pixels are not finite."""
    n_bad = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
    raise InvalidImage(
        f"{_name(number)} has {n_bad} of {pixels.size} pixels that are NaN or infinite; "
        "replace or crop them first."
    )


def as_stack(images: ArrayLike) -> NDArray[Any]:
    """Give the images back as an (N, H, W) array, or say why they are no stack.

    Raises
    ------
    InvalidImage
        If there are not three axes, or no slice.
    """
    stack = as_array(images, "The stack")
    if stack.ndim != 3:
        raise InvalidImage(
            f"The stack has {stack.ndim} dimension(s), shape {stack.shape}; "
            "give (slices, rows, columns)."
        )
    if stack.shape[0] == 0:
        raise InvalidImage("The stack has no slices; give at least one.")
    return stack


def _name(number: int | None) -> str:
    return "The image" if number is None else f"Slice {number}"
