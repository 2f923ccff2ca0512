"""What can be chosen about the pipeline, and what may be chosen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from skullnb.errors import InvalidSetting

# A kernel wider than this covers any head there is; refusing it keeps a typing error from
# asking for gigabytes.
MAX_KERNEL_WIDTH = 1023

SHAPES = {"ellipse": cv2.MORPH_ELLIPSE, "rectangle": cv2.MORPH_RECT}


@dataclass(frozen=True)
class PipelineSettings:
    """Everything about the pipeline that can be chosen. The defaults are the article's.

    Parameters
    ----------
    kernel_width : int
        Side of the structuring element in px; 0 switches the dilation off. An even width is not
        symmetric: 26 reaches 12 px towards the top and left, 13 towards the bottom and right.
    kernel_shape : {"ellipse", "rectangle"}
        Shape of the structuring element, as OpenCV draws it.
    connectivity : {8, 4}
        Neighbours that join bright pixels into a component.
    drop_edge_touching : bool
        Treat components that touch the frame as scalp candidates and drop them.
    threshold : "otsu" or int
        Level in 0..255; a pixel is bright when it is strictly above.
    fill_holes : bool
        Fill what the dilated component encloses.

    Raises
    ------
    InvalidSetting
        If a value is outside what it may be.

    Examples
    --------
    >>> PipelineSettings(kernel_width=30).threshold
    'otsu'
    """

    kernel_width: int = 26
    kernel_shape: str = "ellipse"
    connectivity: int = 8
    drop_edge_touching: bool = True
    threshold: str | int = "otsu"
    fill_holes: bool = True

    def __post_init__(self) -> None:
        """Refuse values outside what they may be."""
        _check_width(self.kernel_width)
        if self.kernel_shape not in SHAPES:
            raise InvalidSetting(
                f"kernel_shape must be one of {', '.join(SHAPES)}, not {self.kernel_shape!r}."
            )
        if self.connectivity not in (4, 8):
            raise InvalidSetting(f"connectivity must be 4 or 8, not {self.connectivity!r}.")
        if self.threshold != "otsu" and not (
            _is_int(self.threshold) and 0 <= int(self.threshold) <= 255
        ):
            raise InvalidSetting(
                f'threshold must be "otsu" or a whole number from 0 to 255, not {self.threshold!r}.'
            )


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.bool_)


def _check_width(width: int) -> None:
    if not _is_int(width) or not 0 <= width <= MAX_KERNEL_WIDTH:
        raise InvalidSetting(
            f"The kernel width must be a whole number of pixels from 0 to {MAX_KERNEL_WIDTH}, "
            f"not {width!r}."
        )
