"""Two masks that can be compared: binary, and of one shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidImage, ShapeMismatch
from skullnb.pipeline.settings import as_array


def as_pair(mask: ArrayLike, reference: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks as arrays of bool, or the reason why they cannot be compared."""
    first, second = _binary(mask, "The mask"), _binary(reference, "The reference mask")
    if first.shape != second.shape:
        raise ShapeMismatch(
            f"The mask has shape {first.shape}, the reference mask {second.shape}; "
            "they must be the same."
        )
    return first, second


def _binary(mask: ArrayLike, what: str) -> NDArray[np.bool_]:
    pixels = np.asarray(as_array(mask, what))
    if pixels.dtype == np.bool_:
        return pixels
    if pixels.dtype.kind not in "iuf" or not np.all((pixels == 0) | (pixels == 1)):
        raise InvalidImage(f"{what} is not binary; give an array of bool or of zeros and ones.")
    return pixels.astype(np.bool_)
