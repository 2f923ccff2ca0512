"""Small things done to arrays of slices, one slice at a time so that large files stay on disk."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting

Array = np.ndarray[Any, Any]


def evenly(indices: Sequence[int]) -> slice | list[int]:
    """Return indices as a slice where they ascend by equal steps, so that selecting is a view.

    Examples
    --------
    >>> evenly([4, 6, 8]), evenly([1, 5, 6])
    (slice(4, 9, 2), [1, 5, 6])
    """
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    if step > 0 and list(indices) == list(range(indices[0], indices[-1] + 1, step)):
        return slice(indices[0], indices[-1] + 1, step)
    return list(indices)


def binary_mask(reference: Array) -> Array:
    """Check that a mask has two values and return it as uint8 {0, 1}.

    Parameters
    ----------
    reference : (N, H, W) array
        With the values {0, 1}, {0, 255} or bool.

    Returns
    -------
    (N, H, W) array of uint8 {0, 1}
        The same memory where it already has that form.

    Raises
    ------
    InvalidSetting
        If there are other values.

    Examples
    --------
    >>> binary_mask(np.array([[[0, 255]]]))
    array([[[0, 1]]], dtype=uint8)
    """
    if reference.dtype == np.bool_:
        return np.asanyarray(reference.view(np.uint8))
    if reference.dtype.kind not in "uif":
        raise InvalidSetting(f"The reference mask is {reference.dtype}; it holds 0 and 1 only.")
    high = 255 if any(plane.max() == 255 for plane in reference) else 1
    # Slice by slice, so that a mask larger than memory can be checked.
    for number, plane in enumerate(reference):
        strange = plane[(plane != 0) & (plane != high)]
        if strange.size:
            raise InvalidSetting(
                f"The reference mask is not binary: {strange.size} pixels of slice {number} are "
                f"neither 0 nor {high} (the first is {strange[0]}); give a mask of 0 and 1."
            )
    if reference.dtype == np.uint8 and high == 1:
        return reference
    return np.asarray(reference == high).astype(np.uint8)


def sha256_of_array(array: Array) -> str:
    """Return the sha256 of an array's data type, shape and values, as 64 hexadecimal digits.

    Examples
    --------
    >>> sha256_of_array(np.zeros((1, 2))) == sha256_of_array(np.zeros((2, 1)))
    False
    """
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    for plane in array:
        digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()
