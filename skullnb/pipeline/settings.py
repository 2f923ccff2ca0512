"""What can be chosen about the pipeline, what it takes as a slice, and how it refuses the rest."""

from __future__ import annotations

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
    """Everything about the pipeline that can be chosen. The defaults are the article's.

    Parameters
    ----------
    kernel_width : int
        Side of the structuring element in px; 0 switches the dilation off. An even width is not
        symmetric: 26 reaches 12 px towards the top and left, 13 towards the bottom and right.
    reach_mm : float, optional
        How far the dilation carries the border, in mm, instead of a kernel width: `at` turns it
        into one. With dark growth, the most that the border moves; 14 mm where left out.
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
        How the outer border is found: the article dilates; dark growth
        (`skullnb.pipeline.border`) looks for it, has no kernel, and needs a spacing.

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
        width, reach, level = self.kernel_width, self.reach_mm, self.threshold
        number = isinstance(reach, int | float | np.number) and not isinstance(reach, bool)
        fine = reach is None or (number and 0 <= reach < np.inf)
        wanted = f"a whole number of pixels from 0 to {MAX_KERNEL_WIDTH}"
        _check(_is_whole(width, MAX_KERNEL_WIDTH), "The kernel width", wanted, width)
        _check(fine, "The reach", "a number of mm that is finite and not negative", reach)
        if reach is not None and width != DEFAULT_KERNEL_WIDTH:
            raise InvalidSetting(
                f"Both a kernel width ({width} px) and a reach ({reach:g} mm) are given; "
                "give one of them."
            )
        wanted = f"one of {', '.join(SHAPES)}"
        _check(self.kernel_shape in SHAPES, "kernel_shape", wanted, self.kernel_shape)
        _check(self.connectivity in (4, 8), "connectivity", "4 or 8", self.connectivity)
        for name in ("drop_edge_touching", "fill_holes"):
            value = getattr(self, name)
            _check(isinstance(value, bool | np.bool_), name, "True or False", value)
        fine = level == "otsu" or _is_whole(level, 255)
        _check(fine, "threshold", '"otsu" or a whole number from 0 to 255', level)
        wanted = f'"{DILATION}" or "{DARK_GROWTH}"'
        _check(self.border in (DILATION, DARK_GROWTH), "border", wanted, self.border)
        if self.border == DARK_GROWTH and width != DEFAULT_KERNEL_WIDTH:
            raise InvalidSetting(
                f"A kernel width ({width} px) is given, and dark growth has no kernel; give the "
                "most that it may grow, reach_mm (--reach-mm), or neither."
            )

    def at(self, spacing_mm: tuple[float, float] | None) -> PipelineSettings:
        """Settle what depends on the size of a pixel: the reach in mm becomes a kernel width.

        It becomes the odd, hence symmetric, width 2 n + 1 px whose reach n is nearest to the one
        asked for (of two that are equally near the narrower), at the mean of row and column. Where
        pixels are longer one way, the kernel reaches farther that way. Dark growth keeps its reach.

        `spacing_mm` is (row, column), None when it is not known. Refused (InvalidSetting) if it is
        needed and not known, or makes no sense, or the kernel would be wider than 1023 px.

        Examples
        --------
        >>> PipelineSettings(reach_mm=6).at((0.5, 0.5)).kernel_width
        25
        """
        grows = self.border == DARK_GROWTH
        reach = REACH_MM if grows and self.reach_mm is None else self.reach_mm
        if reach is None:
            return self
        if spacing_mm is None:
            what, instead = f"A reach of {reach:g} mm", "a kernel width in px"
            if grows:
                what, instead = "Dark growth", f'take border="{DILATION}" (--border {DILATION})'
            raise InvalidSetting(
                f"{what} needs the size of a pixel, which is not known here; give the spacing in "
                f"mm (--spacing), or {instead}."
            )
        _check(np.shape(spacing_mm) == (2,), "The spacing", "(row, column) in mm", spacing_mm)
        spacing = float(np.mean(spacing_mm))
        fine = np.isfinite(spacing) and np.min(spacing_mm) > 0
        _check(fine, "The spacing", "finite and above zero", spacing_mm)
        width = 2 * math.ceil(round(min(reach / spacing, 1e6), 3) - 0.5) + 1
        if width > MAX_KERNEL_WIDTH:
            raise InvalidSetting(
                f"A reach of {reach:g} mm at {spacing:g} mm a pixel asks for a kernel of "
                f"{width} px, more than {MAX_KERNEL_WIDTH}; check both numbers."
            )
        if grows:
            return replace(self, reach_mm=float(reach))
        return replace(self, kernel_width=width, reach_mm=None)


def as_slice(image: ArrayLike, number: int | None = None, *, finite: bool = True) -> NDArray[Any]:
    """Give an (H, W) array of real numbers back, `finite` ones if so asked, or say why not."""
    where = "The image" if number is None else f"Slice {number}"
    if isinstance(image, np.ma.MaskedArray):
        raise InvalidImage(f"{where} is a masked array; fill it with `.filled(value)` first.")
    pixels = as_array(image, where)
    if pixels.dtype.kind not in "iuf":
        raise InvalidImage(f"{where} has pixels of type {pixels.dtype}; give real numbers.")
    if pixels.ndim != 2:
        hint = ""
        if pixels.ndim == 3:
            _look_at_last_axis(pixels.shape, where)
            hint = "; use create_skull_masks for a stack of slices"
        raise InvalidImage(
            f"{where} has {pixels.ndim} dimension(s), shape {pixels.shape}; "
            f"give one 2D slice (rows, columns){hint}."
        )
    if pixels.size == 0:
        raise InvalidImage(f"{where} is empty, shape {pixels.shape}; give at least one pixel.")
    if finite and pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        n_bad = np.count_nonzero(~np.isfinite(pixels))
        raise InvalidImage(
            f"{where} has {n_bad} of {pixels.size} pixels that are NaN or infinite; "
            "crop or replace them, or take NaN as background: --nan-background, or "
            "read_stack(..., nan_background=True)."
        )
    return pixels


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
    _look_at_last_axis(stack.shape, "The stack")
    return stack


def as_array(values: ArrayLike, what: str) -> NDArray[Any]:
    """Give the values as an array; refuse rows of several lengths, `what` begins the sentence."""
    try:
        return np.asanyarray(values)
    except ValueError as error:
        raise InvalidImage(
            f"{what} has rows of several lengths; give a rectangle of numbers."
        ) from error


def _look_at_last_axis(shape: tuple[int, ...], what: str) -> None:
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


def _is_whole(value: Any, most: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and 0 <= value <= most


def _check(is_right: object, what: str, wanted: str, value: object) -> None:
    if not is_right:
        raise InvalidSetting(f"{what} must be {wanted}, not {value!r}.")
