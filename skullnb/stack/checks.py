"""What every file goes through before its pixels are read, and every mask before it is kept."""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, SkullnbError, UnreadableFile

Array = np.ndarray[Any, Any]

# No deflate stream expands by more than this (zlib's technical notes give 1030:1).
DEFLATE_LIMIT = 1032


@contextmanager
def in_one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one sentence."""
    try:
        yield
    except SkullnbError:
        raise
    except MemoryError as error:
        raise UnreadableFile(
            f"{path.name} needs more memory than there is; give a part of it, or a .npy, which is "
            "read in pieces."
        ) from error
    except ModuleNotFoundError as error:
        raise UnreadableFile(
            f"{path.name} needs the package {error.name}, which is not installed; run: "
            f"pip install {error.name}"
        ) from error
    except Exception as error:  # every parser fails in its own way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")
        if "imagecodecs" in reason:
            raise UnreadableFile(
                f"{path.name} is compressed in a way that needs the package imagecodecs; "
                "install it, or save the file uncompressed."
            ) from error
        raise UnreadableFile(
            f"{path.name} can't be read, it is damaged, cut short or not what its name says "
            f"({reason}); make a new copy of it."
        ) from error


_silence, _silent = Lock(), ExitStack()
_n_silent = 0


@contextmanager
def silenced() -> Iterator[None]:
    """Keep to ourselves what libraries log and warn of: it may quote what a file says.

    What is silenced is the whole program's, so the first thread begins and the last one ends it.
    """
    global _n_silent
    with _silence:
        _n_silent += 1
        if _n_silent == 1:
            _silent.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            for talker in map(logging.getLogger, ("pydicom", "nibabel.global")):
                _silent.callback(setattr, talker, "disabled", talker.disabled)
                talker.disabled = True
    try:
        yield
    finally:
        with _silence:
            _n_silent -= 1
            if not _n_silent:
                _silent.close()


def size_in_bytes(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Return the size of an array in Python's unbounded integers."""
    return int(dtype.itemsize) * prod(int(size) for size in shape)


def refuse_impossible_size(path: Path, promised: int, stored: int, *, packed: bool) -> None:
    """Refuse, before memory is taken, more bytes of pixels than are stored or memory can hold."""
    if promised > stored * (DEFLATE_LIMIT if packed else 1):
        raise UnreadableFile(
            f"{path.name} promises {promised:,} bytes of pixels but stores {stored:,}; it is cut "
            "short or its header is wrong, make a new copy of it."
        )
    if packed:
        refuse_more_than_memory(path, promised)


def refuse_more_than_memory(path: Path, promised: int) -> None:
    """Refuse bytes of pixels that must be unpacked and that the computer has no memory for."""
    if not hasattr(os, "sysconf"):
        return  # Windows refuses by itself what it can't back with memory
    if promised > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise UnreadableFile(
            f"{path.name} promises {promised:,} bytes of pixels, more than this computer has "
            "memory for; give a part of it, or a .npy, which is read in pieces."
        )


def told_dimensions(shape: Sequence[int]) -> str:
    """Say a shape in words: `1 dimension, (4,)`."""
    return f"{len(shape)} dimension{'s' * (len(shape) != 1)}, {tuple(shape)}"


def stack_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int, int]:
    """Return (N, H, W) for an array of slices without orientation, or refuse it.

    >>> stack_shape(Path("a.npy"), (64, 48), np.dtype(float))
    (1, 64, 48)
    """
    refuse_strange_pixels(path, dtype)
    if len(shape) not in (2, 3):
        raise UnreadableFile(
            f"{path.name} has {told_dimensions(shape)}; give slices as (rows, columns) or "
            "(slices, rows, columns)."
        )
    if min(shape) < 1:
        raise UnreadableFile(f"{path.name} holds no pixels, its shape is {shape}.")
    if len(shape) == 3 and shape[2] in (1, 3, 4) and min(shape[:2]) > 4:
        raise UnreadableFile(
            f"{path.name} has the shape {shape}, which looks like one image with colour channels "
            "last; give grey slices as (rows, columns) or (slices, rows, columns)."
        )
    full = (1, *shape)[-3:]
    return full[0], full[1], full[2]


def slices_last(path: Path, shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Remark on an array whose last axis is so short that it must be the slices."""
    n, height, width = shape
    if 2 * width > min(n, height) or max(n, height) > 2 * min(n, height):
        return ()
    return (
        f"{path.name} has the shape {shape}, whose last axis looks like the slices, and the first "
        "is taken for them; if so, move it with numpy.moveaxis(images, -1, 0).",
    )


def refuse_strange_pixels(path: Path, dtype: np.dtype[Any]) -> None:
    """Refuse pixels that are not plain numbers."""
    if dtype.names:
        raise UnreadableFile(f"{path.name} holds colour or compound pixels; give grey values.")
    if dtype.kind == "O":
        raise UnreadableFile(
            f"{path.name} holds pickled Python objects, which could run code when opened; "
            "save a plain array of numbers with numpy.save."
        )
    if dtype.kind not in "buif":
        kind = "complex numbers" if dtype.kind == "c" else f"values of type {dtype}"
        raise UnreadableFile(f"{path.name} holds {kind}; give real grey values, or magnitudes.")


def binary_mask(reference: Array, what: str = "reference mask") -> Array:
    """Return a mask of {0, 1}, {0, 255} or bool as uint8 {0, 1}, the same memory if it is one.

    >>> binary_mask(np.array([[[0, 255]]]))
    array([[[0, 1]]], dtype=uint8)
    """
    if reference.dtype == np.bool_:
        return np.asanyarray(reference.view(np.uint8))
    if reference.dtype.kind not in "uif":
        raise InvalidSetting(f"The {what} is {reference.dtype}; it holds 0 and 1 only.")
    high = 255 if any(plane.max() == 255 for plane in reference) else 1
    # Slice by slice, so that a mask larger than memory can be checked.
    for number, plane in enumerate(reference):
        strange = plane[(plane != 0) & (plane != high)]
        if strange.size:
            raise InvalidSetting(
                f"The {what} is not binary: {strange.size} pixels of slice {number} are "
                f"neither 0 nor {high} (the first is {strange[0]}); give a mask of 0 and 1."
            )
    if reference.dtype == np.uint8 and high == 1:
        return reference
    return np.asarray(reference == high).astype(np.uint8)


def without_nan(images: Array) -> Array:
    """Return images with NaN as background: 0, or the lowest value where that is below 0."""
    if images.dtype.kind != "f" or not any(np.isnan(plane).any() for plane in images):
        return images
    known = images[np.isfinite(images)]
    background = min(0.0, float(known.min())) if known.size else 0.0
    return np.where(np.isnan(images), images.dtype.type(background), images)
