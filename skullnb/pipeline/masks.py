"""Skull masks and nothing else, quickly: the five steps of `skullnb.pipeline.steps`, bit for bit.

Two modules offer steps 1, 3, 4 and 5 by the same names: `with_numpy`, and `with_numba`, which
needs numba (``pip install 'skullnb[fast]'``) and is taken where that works. Otsu's threshold is
OpenCV's in both, because versions differ in how they decide between levels that split equally well.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from threading import Timer
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from skullnb.errors import InvalidSetting
from skullnb.pipeline.checks import as_pixels, as_stack, refuse_not_finite
from skullnb.pipeline.settings import PipelineSettings
from skullnb.pipeline.steps import Mask, with_range
from skullnb.pipeline.with_numpy import WORD, kernel_of, scratch

TIERS = {"numpy": "skullnb.pipeline.with_numpy", "numba": "skullnb.pipeline.with_numba"}

_PATIENCE = 3.0  # seconds until a slow start is explained

COMPILING = "Compiling the fast kernels, once for this installation (about ten seconds) ..."

_tier: ModuleType | None = None


def create_skull_mask(image: ArrayLike, dilation_size: int = 26) -> Mask:
    """Mark the outer surface of the skull and everything inside it.

    Parameters
    ----------
    image : (H, W) array, real
        One slice, any intensities.
    dilation_size : int
        Kernel width in px (the article's name for it); it reaches half as far.

    Returns
    -------
    (H, W) uint8 {0, 1}
        Empty when the slice is flat or no inner component exists; `trace_skull_mask` says why.

    Raises
    ------
    InvalidImage
        If the slice is not a finite, real, non-empty 2D array.
    InvalidSetting
        If the kernel width is not a whole number from 0 to 1023.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> print(create_skull_mask(image, dilation_size=3).sum())
    480
    """
    return next(masks_by_width(image, (dilation_size,)))


def create_skull_masks(images: ArrayLike, settings: PipelineSettings | None = None) -> Mask:
    """Skull masks of all slices of a stack.

    Parameters
    ----------
    images : (N, H, W) array, real
    settings : PipelineSettings, optional
        The article's when left out.

    Returns
    -------
    (N, H, W) uint8 {0, 1}

    Raises
    ------
    InvalidImage
        If a slice cannot be worked on; the message gives its number.

    Examples
    --------
    >>> create_skull_masks(np.zeros((2, 8, 8))).shape
    (2, 8, 8)
    """
    settings = settings or PipelineSettings()
    stack = as_stack(images)
    masks = np.empty(stack.shape, dtype=np.uint8)
    tier = _current_tier()
    for number, image in enumerate(stack):
        brain = _find_brain(as_pixels(image, number), number, settings, tier)
        _grow(brain, settings.kernel_width, settings, masks[number], tier)
    return masks


def masks_by_width(
    image: ArrayLike,
    widths: Iterable[int],
    settings: PipelineSettings | None = None,
    *,
    slice_number: int | None = None,
) -> Iterator[Mask]:
    """Masks of one slice at several kernel widths; all before the dilation is done once.

    Parameters
    ----------
    image : (H, W) array, real
    widths : iterable of int
        Kernel widths in px.
    settings : PipelineSettings, optional
        All the rest; its kernel width is not used.
    slice_number : int, optional
        Named in the error message when the slice cannot be worked on.

    Yields
    ------
    (H, W) uint8 {0, 1}
        The same as `create_skull_mask` gives at that width.

    Raises
    ------
    InvalidImage
        If the slice is not a finite, real, non-empty 2D array.
    InvalidSetting
        If a kernel width is not a whole number from 0 to 1023.

    Examples
    --------
    >>> image = np.zeros((60, 60))
    >>> image[20:40, 20:40] = 1.0
    >>> [int(mask.sum()) for mask in masks_by_width(image, (1, 3, 5))]
    [400, 480, 568]
    """
    settings = settings or PipelineSettings()
    pixels = as_pixels(image, slice_number)
    tier = _current_tier()
    brain = _find_brain(pixels, slice_number, settings, tier)
    for width in widths:
        mask = np.empty(pixels.shape, dtype=np.uint8)
        _grow(brain, replace(settings, kernel_width=width).kernel_width, settings, mask, tier)
        yield mask


def use_tier(name: str, announce: Callable[[str], object] | None = None) -> str:
    """Choose what the masks are computed with; the masks do not depend on it.

    Parameters
    ----------
    name : {"auto", "numba", "numpy"}
        "auto", what is used when nothing is said, is numba where that works and numpy elsewhere.
    announce : callable, optional
        Is given a sentence when the kernels have to be compiled first, which happens once for
        an installation and takes some ten seconds; a terminal is told when left out.

    Returns
    -------
    str
        What is used from now on: "numba" or "numpy".

    Raises
    ------
    InvalidSetting
        If there is no such tier, or numba is not installed or does not work.

    Examples
    --------
    >>> use_tier("numpy")
    'numpy'
    >>> use_tier("auto") in ("numba", "numpy")
    True
    """
    global _tier
    if name not in ("auto", *TIERS):
        raise InvalidSetting(f"The tier must be auto, {' or '.join(TIERS)}, not {name!r}.")
    patience = Timer(_PATIENCE, announce or _tell_a_terminal, [COMPILING])
    patience.start()
    try:
        _tier = importlib.import_module(TIERS["numba" if name == "auto" else name])
    except ImportError as missing:
        if name != "auto":
            raise InvalidSetting(
                f"numba cannot be used ({missing}); pip install 'skullnb[fast]', or use numpy."
            ) from missing
        _tier = importlib.import_module(TIERS["numpy"])
    finally:
        patience.cancel()
    return _name_of(_tier)


def warm_up(announce: Callable[[str], object] | None = None) -> str:
    """Have the kernels compiled or loaded, so that the first mask does not wait for them.

    With numba, loading takes about half a second in every process; compiling comes before it
    once for an installation. Call this before starting workers, so that one process compiles
    and all others load.

    Parameters
    ----------
    announce : callable, optional
        As for `use_tier`.

    Returns
    -------
    str
        What the masks are computed with: "numba" or "numpy".

    Examples
    --------
    >>> warm_up() in ("numba", "numpy")
    True
    """
    return _name_of(_current_tier(announce))


def _find_brain(
    pixels: NDArray[Any], number: int | None, settings: PipelineSettings, tier: ModuleType
) -> Any:
    """Steps 1 to 3; None when nothing is left to choose."""
    floats, low, high = with_range(pixels, tier.extremes)
    if not (np.isfinite(low) and np.isfinite(high)):
        refuse_not_finite(pixels, number)
    if low == high:
        return None

    # Dark columns at the right fill up the last word of each row, and there is always one.
    height, width = pixels.shape
    wide = scratch("wide", (height, (width // WORD + 1) * WORD), np.uint8)
    wide[:, width:] = 0
    frame = wide[:, :width]

    tier.normalise(floats, low, high, wide)
    if settings.threshold == "otsu":
        cv2.threshold(frame, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU, dst=frame)
    else:
        cv2.threshold(frame, int(settings.threshold), 255, cv2.THRESH_BINARY, dst=frame)
    return tier.find_brain(wide, width, settings.connectivity, bool(settings.drop_edge_touching))


def _grow(brain: Any, width: int, settings: PipelineSettings, mask: Mask, tier: ModuleType) -> None:
    """Steps 4 and 5, into a mask that is there already."""
    if brain is None:
        mask[...] = 0
        return
    grown = tier.dilate(brain, kernel_of(width, settings.kernel_shape))
    tier.draw(grown, mask, bool(settings.fill_holes))


def _current_tier(announce: Callable[[str], object] | None = None) -> ModuleType:
    if _tier is None:
        use_tier("auto", announce)
    assert _tier is not None
    return _tier


def _name_of(tier: ModuleType) -> str:
    return next(name for name, module in TIERS.items() if module == tier.__name__)


def _tell_a_terminal(sentence: str) -> None:
    if sys.stderr.isatty():
        print(sentence, file=sys.stderr)
