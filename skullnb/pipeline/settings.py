"""What can be chosen about the pipeline, what it takes as a slice, and how it refuses the rest."""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidImage, InvalidSetting

MAX_KERNEL_WIDTH = 1023  # covers any head; a typing error must not ask for gigabytes
DEFAULT_KERNEL_WIDTH = 26

SHAPES = {"ellipse": cv2.MORPH_ELLIPSE, "rectangle": cv2.MORPH_RECT}
DILATION, DARK_GROWTH = "dilation", "dark growth"
REACH_MM = 14.0  # of dark growth, unless another is asked for


@dataclass(frozen=True)
class PipelineSettings:
    """Everything about the pipeline that can be chosen; else InvalidSetting.

    Parameters
    ----------
    kernel_width : int
        Side of the structuring element in px; 0 switches the dilation off. 26, the article's, is
        not symmetric: it reaches 12 px towards the top and left, 13 towards the bottom and right.
    reach_mm : float, optional
        How far the border is carried, in mm, instead of a kernel width: `at` turns it into one.
        With dark growth, the most that the border moves; 14 mm where left out.
    kernel_shape : {"ellipse", "rectangle"}
    connectivity : {8, 4}
        Neighbours that join bright pixels into a component.
    drop_edge_touching : bool
        Treat components that touch the frame as scalp candidates and drop them.
    threshold : "otsu" or int
        Level in 0..255; a pixel is bright when it is strictly above.
    fill_holes : bool
    border : {"dilation", "dark growth"}
        How the border is found: see `skullnb.pipeline.border`.

    Examples
    --------
    >>> PipelineSettings(kernel_width=30).threshold
    'otsu'
    """

    kernel_width: int = DEFAULT_KERNEL_WIDTH
    reach_mm: float | None = None
    kernel_shape: str = "ellipse"
    connectivity: int = 8
    drop_edge_touching: bool = True
    threshold: str | int = "otsu"
    fill_holes: bool = True
    border: str = DILATION

    def __post_init__(self) -> None:
        """Refuse values outside what they may be."""
        width, reach, level = self.kernel_width, self.reach_mm, self.threshold
        number = isinstance(reach, int | float | np.number) and not isinstance(reach, bool)
        fine = reach is None or (number and 0 <= reach < np.inf)
        _check(fine, "The reach", "a number of mm that is finite and not negative", reach)
        fine = _is_whole(width, MAX_KERNEL_WIDTH)
        _check(fine, "The kernel width", "a whole number of pixels from 0 to 1023", width)
        fine = level == "otsu" or _is_whole(level, 255)
        _check(fine, "threshold", '"otsu" or a whole number from 0 to 255', level)
        for name, *choices in (
            ("kernel_shape", *SHAPES),
            ("connectivity", 8, 4),
            ("drop_edge_touching", True, False),
            ("fill_holes", True, False),
            ("border", DILATION, DARK_GROWTH),
        ):
            value = getattr(self, name)
            fine = value in choices and isinstance(value, (type(choices[0]), np.generic))
            _check(fine, name, f"one of {tuple(choices)}", value)
            object.__setattr__(self, name, type(choices[0])(value))  # numpy's 0 is no False to ~
        if width != DEFAULT_KERNEL_WIDTH and (reach is not None or self.border == DARK_GROWTH):
            told = f"A kernel width ({width} px) goes neither with a reach (--reach-mm) nor with"
            raise InvalidSetting(f"{told} dark growth, which has no kernel; leave one of them out.")

    def at(self, spacing_mm: tuple[float, float] | None) -> "PipelineSettings":
        """Turn the reach into a kernel width, by the size of a pixel, (row, column) in mm.

        It is the odd, hence symmetric, width 2 n + 1 px whose reach n is nearest (of two the
        narrower), at the mean of row and column. Dark growth keeps its reach, and needs a spacing.

        >>> PipelineSettings(reach_mm=6).at((0.5, 0.5)).kernel_width
        25
        """
        grows = self.border == DARK_GROWTH
        reach = REACH_MM if grows and self.reach_mm is None else self.reach_mm
        if reach is None:
            return self
        if spacing_mm is None:
            what = "Dark growth" if grows else f"A reach of {reach:g} mm"
            told = f"{what} needs the size of a pixel, which is not known here; give the spacing in"
            raise InvalidSetting(f"{told} mm (--spacing), or dilate by a kernel width in px.")
        fine = np.shape(spacing_mm) == (2,) and all(0 < one < np.inf for one in spacing_mm)
        _check(fine, "The spacing", "(row, column) in mm, finite and above zero", spacing_mm)
        spacing = float(np.mean(spacing_mm))
        width = 2 * math.ceil(round(min(reach / spacing, 1e6), 3) - 0.5) + 1
        what = f"The kernel for {reach:g} mm at {spacing:g} mm a pixel (check both numbers)"
        _check(width <= MAX_KERNEL_WIDTH, what, "at most 1023 px wide", width)
        if grows:
            return replace(self, reach_mm=float(reach))
        return replace(self, kernel_width=width, reach_mm=None)


def as_slice(image: ArrayLike, number: int | None = None, *, finite: bool = True) -> NDArray[Any]:
    """Give an (H, W) array of real numbers back, `finite` ones if so asked, or say why not."""
    where = "The image" if number is None else f"Slice {number}"
    pixels = as_array(image, where)
    is_plain = pixels.dtype.kind in "iuf" and not isinstance(pixels, np.ma.MaskedArray)
    if pixels.ndim != 2 or pixels.size == 0 or not is_plain:
        told = f"{where} is a {type(pixels).__name__} of {pixels.dtype}, shape {pixels.shape}"
        slices = "one 2D slice of real numbers, none masked, or a stack of slices"
        raise InvalidImage(f"{told}; give {slices} to create_skull_masks.")
    if finite and pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        n_bad = np.count_nonzero(~np.isfinite(pixels))
        told = f"{where} has {n_bad} of {pixels.size} pixels that are NaN or infinite"
        ways = "crop or replace them, or read NaN as background"
        raise InvalidImage(f"{told}; {ways}: --nan-background, nan_background=True.")
    return pixels


def as_stack(images: ArrayLike) -> NDArray[Any]:
    """Give the images back as an (N, H, W) array, or say why they are no stack."""
    stack = as_array(images, "The stack")
    told = f"The stack has the shape {stack.shape}"
    if stack.ndim != 3 or len(stack) == 0:
        raise InvalidImage(f"{told}; give (slices, rows, columns), one at least.")
    *others, last = stack.shape
    if last in (1, 3, 4) and min(others) > 4:
        grey = "give grey slices as (rows, columns) or (slices, rows, columns)"
        raise InvalidImage(f"{told}, which looks like one image with colour channels last; {grey}.")
    if 3 * last < min(others):
        text = "last axis looks like the slices'; `np.moveaxis(images, -1, 0)` puts it first."
        warnings.warn(f"{told}, whose {text}", stacklevel=3)
    return stack


def as_array(values: ArrayLike, what: str) -> NDArray[Any]:
    """Give the values as an array; refuse rows of several lengths, `what` begins the sentence."""
    try:
        return np.asanyarray(values)
    except ValueError as error:
        raise InvalidImage(f"{what} has rows of several lengths; make it a rectangle.") from error


def _is_whole(value: Any, most: int) -> bool:
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return number and bool(0 <= value <= most)


def _check(is_right: object, what: str, wanted: str, value: object) -> None:
    if not is_right:
        raise InvalidSetting(f"{what} must be {wanted}, not {value!r}.")
