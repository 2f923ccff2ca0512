"""A file opened as slices, and the checks that every kind of file goes through."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.stack.anatomy import Grid
from skullnb.stack.arrays import Array
from skullnb.stack.names import stem

# No deflate stream expands by more than this (zlib's technical notes give 1030:1).
_DEFLATE_LIMIT = 1032


@dataclass(frozen=True, eq=False)
class Volume:
    """A file, opened but not yet read.

    Attributes
    ----------
    path : Path
        The file.
    shape : (N, H, W)
        What it will hold.
    load : callable
        Returns the (N, H, W) array; call `read`, which turns its errors into a sentence.
    spacing_mm : pair of floats or None
        (row, column), where the header says it.
    grid : Grid or None
        The voxel grid, where the format has an orientation.
    groups : tuple of str or None
        Labels stored in the file.
    name : str
        What to call it; the file's name without its ending where nothing else is given.
    files : tuple of Path
        The files of a DICOM series, in the order of its slices; empty for a file of its own.
    synthetic : bool
        Whether the file says that its slices were drawn.
    """

    path: Path
    shape: tuple[int, int, int]
    load: Callable[[], Array]
    spacing_mm: tuple[float, float] | None = None
    grid: Grid | None = None
    groups: tuple[str, ...] | None = None
    name: str = ""
    files: tuple[Path, ...] = ()
    synthetic: bool = False

    def __post_init__(self) -> None:
        """Name the volume after its file."""
        if not self.name:
            object.__setattr__(self, "name", stem(self.path))

    def read(self) -> Array:
        """Return the slices: memory-mapped where the format allows, else read now."""
        with in_one_sentence(self.path):
            return self.load()


@contextmanager
def in_one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one sentence.

    Examples
    --------
    >>> with in_one_sentence(Path("scans/a.nii")):
    ...     raise EOFError("the end came early")
    Traceback (most recent call last):
    skullnb.errors.UnreadableFile: a.nii can't be read, it is damaged, cut short or not what its
    name says (the end came early); make a new copy of it.
    """
    try:
        yield
    except SkullnbError:
        raise
    except MemoryError as error:
        raise UnreadableFile(
            f"{path.name} needs more memory than there is; give a part of it, or a .npy, which is "
            "read in pieces."
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


def refuse_impossible_size(path: Path, promised: int, stored: int, *, packed: bool) -> None:
    """Refuse a header that promises more pixels than the stored bytes, or memory, can hold.

    Asked before anything is allocated: a damaged header can promise terabytes.

    Parameters
    ----------
    path : Path
        The file, for the error.
    promised, stored : int
        Bytes.
    packed : bool
        Whether the stored bytes are deflated.

    Raises
    ------
    UnreadableFile
        If they can't.

    Examples
    --------
    >>> refuse_impossible_size(Path("a.nii.gz"), 5000, 100, packed=True)
    >>> refuse_impossible_size(Path("a.nii"), 5000, 100, packed=False)
    Traceback (most recent call last):
    skullnb.errors.UnreadableFile: a.nii promises 5,000 bytes of pixels but stores 100; it is cut
    short or its header is wrong, make a new copy of it.
    """
    if promised > stored * (_DEFLATE_LIMIT if packed else 1):
        raise UnreadableFile(
            f"{path.name} promises {promised:,} bytes of pixels but stores {stored:,}; it is cut "
            "short or its header is wrong, make a new copy of it."
        )
    if packed:
        refuse_more_than_memory(path, promised)


def refuse_more_than_memory(path: Path, promised: int) -> None:
    """Refuse pixels that must be unpacked and that the computer has no memory for.

    Examples
    --------
    >>> refuse_more_than_memory(Path("a.tif"), 10**15)
    Traceback (most recent call last):
    skullnb.errors.UnreadableFile: a.tif promises 1,000,000,000,000,000 bytes of pixels, more than
    this computer has memory for; give a part of it, or a .npy, which is read in pieces.
    """
    if not hasattr(os, "sysconf"):
        return  # Windows refuses by itself what it can't back with memory
    if promised > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise UnreadableFile(
            f"{path.name} promises {promised:,} bytes of pixels, more than this computer has "
            "memory for; give a part of it, or a .npy, which is read in pieces."
        )


def told_dimensions(shape: tuple[int, ...]) -> str:
    """Say a shape in words.

    Examples
    --------
    >>> told_dimensions((4,))
    '1 dimension, (4,)'
    """
    return f"{len(shape)} dimension{'s' * (len(shape) != 1)}, {shape}"


def stack_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int, int]:
    """Return (N, H, W) for an array of slices without orientation, or refuse it.

    Examples
    --------
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


def refuse_strange_pixels(path: Path, dtype: np.dtype[Any]) -> None:
    """Refuse pixels that are not plain numbers.

    Examples
    --------
    >>> refuse_strange_pixels(Path("a.npy"), np.dtype(complex))
    Traceback (most recent call last):
    skullnb.errors.UnreadableFile: a.npy holds complex numbers; give real grey values, or
    magnitudes.
    """
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


def size_in_bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the size of an array in Python's unbounded integers.

    Examples
    --------
    >>> size_in_bytes((30000, 30000, 30000), np.dtype(np.float32))
    108000000000000
    """
    n_bytes = int(dtype.itemsize)
    for size in shape:
        n_bytes *= int(size)
    return n_bytes
