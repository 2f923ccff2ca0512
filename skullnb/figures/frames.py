"""The frames of a flip-book: one slice with outlines over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skullnb.figures.drawing import grey_levels
from skullnb.figures.layout import colour

Image = NDArray[Any]
Mask = NDArray[np.uint8]
Box = tuple[slice, slice]

# Height of a frame in px, its line, and quality of its WebP: a dozen frames stay under a quarter
# of a megabyte.
_HEIGHT = 380
_LINE = 2
_QUALITY = 50

# Around a cut, in px.
_PAD = 8


def outlined_slice(image: Image, outlines: Sequence[tuple[Mask, str]], box: Box) -> bytes:
    """Draw one slice with outlines over it, as WebP.

    Parameters
    ----------
    outlines : sequence of (mask, kind)
        Masks of (H, W), each with a name in `PALETTE`; later ones are drawn over earlier ones.
    box : (rows, columns)
        The part to show, for instance from `mask_box`.

    Examples
    --------
    >>> from skullnb.figures.layout import mask_box
    >>> mask = np.zeros((60, 60), dtype=np.uint8)
    >>> mask[20:40, 20:40] = 1
    >>> outlined_slice(np.zeros((60, 60)), [(mask, "mask")], mask_box(mask))[:4]
    b'RIFF'
    """
    part = (grey_levels(image) * 255).astype(np.uint8)[box]
    height, width = part.shape
    scale = min(_HEIGHT / height, 2 * _HEIGHT / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = cv2.cvtColor(cv2.resize(part, size, interpolation=how), cv2.COLOR_GRAY2BGR)
    for mask, kind in outlines:
        large = cv2.resize(mask[box] * np.uint8(255), size, interpolation=cv2.INTER_LINEAR)
        inside = (large > 127).astype(np.uint8)
        # A wider mask, so that no outline is drawn along the cut.
        inside = np.pad(inside, _PAD, mode="edge")
        borders, _ = cv2.findContours(
            inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(-_PAD, -_PAD)
        )
        red, green, blue = 255 * colour(kind)
        cv2.drawContours(picture, borders, -1, (blue, green, red), _LINE, cv2.LINE_AA)
    _, encoded = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return encoded.tobytes()
