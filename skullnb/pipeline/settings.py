"""What can be chosen about the pipeline, what it takes as a slice, and how it refuses the rest."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidImage, InvalidSetting

# A kernel wider than this covers any head there is; refusing it keeps a typing error from
# asking for gigabytes.
MAX_KERNEL_WIDTH = 1023
DEFAULT_KERNEL_WIDTH = 26

SHAPES = {"ellipse": cv2.MORPH_ELLIPSE, "rectangle": cv2.MORPH_RECT}
DILATION, DARK_GROWTH = "dilation", "dark growth"


@dataclass(frozen=True)
class PipelineSettings:
    """Everything about the pipeline that can be chosen. The defaults are the article's.

    Parameters
    ----------
    kernel_width : int
        Side of the structuring element in px; 0 switches the dilation off. An even width is not
        symmetric: 26 reaches 12 px towards the top and left, 13 towards the bottom and right.
    reach_mm : float, optional
        How far the dilation carries the border, in mm, instead of a kernel width: `at` turns it
        into one.
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
    border : {"dilation", "dark growth"}
        How the outer border is found; the article dilates.

    Raises
    ------
    InvalidSetting
        If a value is outside what it may be.

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
        _check_width(self.kernel_width)
        if self.reach_mm is not None:
            self._check_reach(self.reach_mm)
        if self.kernel_shape not in SHAPES:
            raise InvalidSetting(
                f"kernel_shape must be one of {', '.join(SHAPES)}, not {self.kernel_shape!r}."
            )
        if self.connectivity not in (4, 8):
            raise InvalidSetting(f"connectivity must be 4 or 8, not {self.connectivity!r}.")
        for name in ("drop_edge_touching", "fill_holes"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InvalidSetting(f"{name} must be True or False, not {getattr(self, name)!r}.")
        if self.threshold != "otsu" and not (
            _is_int(self.threshold) and 0 <= int(self.threshold) <= 255
        ):
            raise InvalidSetting(
                f'threshold must be "otsu" or a whole number from 0 to 255, not {self.threshold!r}.'
            )
        if self.border not in (DILATION, DARK_GROWTH):
            raise InvalidSetting(
                f'border must be "{DILATION}" or "{DARK_GROWTH}", not {self.border!r}.'
            )
        if self.border == DARK_GROWTH:
            raise InvalidSetting(
                f'border="{DARK_GROWTH}" is not available in this version; use "{DILATION}".'
            )

    def at(self, spacing_mm: tuple[float, float] | None) -> PipelineSettings:
        """Settle what depends on the size of a pixel: the reach in mm becomes a kernel width.

        A reach of r mm becomes the odd, hence symmetric, width 2 n + 1 px whose reach n is nearest
        to r / spacing (of two that are equally near the narrower), where the spacing is the mean of
        row and column. The element is round in pixels: where
        pixels are longer one way, it reaches farther that way, and the reach is met on average.

        Parameters
        ----------
        spacing_mm : (row, column) in mm, or None when it is not known

        Returns
        -------
        PipelineSettings
            The same ones when there is nothing to settle.

        Raises
        ------
        InvalidSetting
            If the spacing is needed and not known, or makes no sense, or the kernel would be
            wider than 1023 px.

        Examples
        --------
        >>> PipelineSettings(reach_mm=6).at((0.5, 0.5)).kernel_width
        25
        """
        if self.reach_mm is None:
            return self
        if spacing_mm is None:
            raise InvalidSetting(
                f"A reach of {self.reach_mm:g} mm needs the size of a pixel, which is not known "
                "here; give the spacing in mm (--spacing), or a kernel width in px."
            )
        spacing = float(np.mean(np.broadcast_to(spacing_mm, (2,))))
        if not np.isfinite(spacing) or np.min(spacing_mm) <= 0:
            raise InvalidSetting(f"The spacing must be finite and above zero, not {spacing_mm!r}.")
        radius = math.ceil(round(min(self.reach_mm / spacing, 1e6), 3) - 0.5)
        if 2 * radius + 1 > MAX_KERNEL_WIDTH:
            raise InvalidSetting(
                f"A reach of {self.reach_mm:g} mm at {spacing:g} mm a pixel asks for a kernel of "
                f"{2 * radius + 1} px, more than {MAX_KERNEL_WIDTH}; check both numbers."
            )
        return replace(self, kernel_width=2 * radius + 1, reach_mm=None)

    def _check_reach(self, reach_mm: float) -> None:
        number = isinstance(reach_mm, int | float | np.number) and not isinstance(reach_mm, bool)
        if not number or not 0 <= reach_mm < np.inf:
            raise InvalidSetting(
                f"The reach must be a number of mm that is finite and not negative, "
                f"not {reach_mm!r}."
            )
        if self.kernel_width != DEFAULT_KERNEL_WIDTH:
            raise InvalidSetting(
                f"Both a kernel width ({self.kernel_width} px) and a reach ({reach_mm:g} mm) are "
                "given; give one of them."
            )


def as_slice(image: ArrayLike, number: int | None = None) -> NDArray[Any]:
    """Give an (H, W) array of integers or finite floats back, or say why it is no slice."""
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
        _refuse_axes(pixels, where)
    if pixels.size == 0:
        raise InvalidImage(f"{where} is empty, shape {pixels.shape}; give at least one pixel.")
    return pixels


def as_array(values: ArrayLike, what: str) -> NDArray[Any]:
    """Give the values as an array; refuse rows of several lengths, `what` begins the sentence."""
    try:
        return np.asanyarray(values)
    except ValueError as error:
        raise InvalidImage(
            f"{what} has rows of several lengths; give a rectangle of numbers."
        ) from error


def as_stack(images: ArrayLike) -> NDArray[Any]:
    """Give the images back as an (N, H, W) array, or say why they are no stack."""
    stack = as_array(images, "The stack")
    if stack.ndim != 3:
        raise InvalidImage(
            f"The stack has {stack.ndim} dimension(s), shape {stack.shape}; "
            "give (slices, rows, columns)."
        )
    if stack.shape[0] == 0:
        raise InvalidImage("The stack has no slices; give at least one.")
    look_at_last_axis(stack.shape, "The stack")
    return stack


def look_at_last_axis(shape: tuple[int, ...], what: str) -> None:
    """Refuse colours along the last axis of three; warn where it looks like the slices'."""
    *others, last = shape
    if last in (1, 3, 4) and min(others) > 4:
        raise InvalidImage(
            f"{what} has the shape {shape}, which looks like one image with colour channels last; "
            "give grey slices as (rows, columns) or (slices, rows, columns)."
        )
    if 3 * last < min(others):
        warnings.warn(
            f"{what} has the shape {shape}, whose last axis looks like the slices'; slices come "
            "first: `np.moveaxis(images, -1, 0)` puts them there.",
            stacklevel=4,
        )


def refuse_not_finite(pixels: NDArray[Any], number: int | None = None) -> NoReturn:
    """Say how many pixels are not finite."""
    n_bad = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
    raise InvalidImage(
        f"{_name(number)} has {n_bad} of {pixels.size} pixels that are NaN or infinite; "
        "crop or replace them, or take NaN as background: --nan-background, or "
        "read_stack(..., nan_background=True)."
    )


def _refuse_axes(pixels: NDArray[Any], where: str) -> NoReturn:
    if pixels.ndim == 3:
        look_at_last_axis(pixels.shape, where)
    hint = "; use create_skull_masks for a stack of slices" if pixels.ndim == 3 else ""
    raise InvalidImage(
        f"{where} has {pixels.ndim} dimension(s), shape {pixels.shape}; "
        f"give one 2D slice (rows, columns){hint}."
    )


def _name(number: int | None) -> str:
    return "The image" if number is None else f"Slice {number}"


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.bool_)


def _check_width(width: int) -> None:
    if not _is_int(width) or not 0 <= width <= MAX_KERNEL_WIDTH:
        raise InvalidSetting(
            f"The kernel width must be a whole number of pixels from 0 to {MAX_KERNEL_WIDTH}, "
            f"not {width!r}."
        )
