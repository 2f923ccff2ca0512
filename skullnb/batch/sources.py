"""Where slices come from: files of any kind that is read, or a zarr array, a slice at a time."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import accumulate
from math import prod
from pathlib import Path
from threading import local
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, ShapeMismatch, SkullnbError, UnreadableFile
from skullnb.stack import Input, list_volumes
from skullnb.stack.arrays import Array, evenly
from skullnb.stack.names import expand
from skullnb.stack.options import parse_slices
from skullnb.stack.volume import (
    refuse_more_than_memory,
    size_in_bytes,
    stack_shape,
    told_dimensions,
)

_kept = local()

_MOST_EMPTY_CHUNKS = 1000  # for one that is stored


@dataclass(frozen=True)
class FileSource:
    """Slices of files, one file after another.

    A file holds (H, W) or (N, H, W). One that can't be mapped into memory is read whole, once for
    each worker that needs it, so the largest file decides how much memory is needed. Of files that
    were changed meanwhile, slices come fewer or of another size.

    Attributes
    ----------
    inputs : tuple of Input
    ends : tuple of int
        For each file, how many slices it and those before it hold.
    shape : (N, H, W)
        Of the slices taken.
    first : int
        Number of the first slice taken.
    step : int
        Slices that are stored together, and are best read together.
    """

    inputs: tuple[Input, ...]
    ends: tuple[int, ...]
    shape: tuple[int, int, int]
    first: int = 0
    step: int = 1

    def slices(self, start: int, stop: int) -> Iterator[Array | SkullnbError]:
        """Read slices `start` to `stop`, those of a damaged file as the reason why not."""
        index = start
        while index < stop:
            file, number = self._place(index)
            many = min(stop - index, self.ends[file] - self.first - index)
            try:
                images = _read(self.inputs[file], number, many, self.shape[1:])
            except SkullnbError as error:
                cause = error.__cause__
                # The system's refusal is no property of the file, and may be gone tomorrow.
                refused = isinstance(cause, MemoryError) or getattr(cause, "errno", None)
                if refused or not self.inputs[file].path.exists():
                    raise
                for _ in range(many):
                    yield error
            else:
                yield from images
            index += many

    def origin(self, index: int) -> tuple[str, int]:
        """File that a slice is from, and its number there."""
        file, number = self._place(index)
        return self.inputs[file].path.name, number

    def files(self) -> list[Path]:
        """All files that are read."""
        return [
            path
            for one in self.inputs
            for path in (one.series.files if one.series else (one.path,))
        ]

    def _place(self, index: int) -> tuple[int, int]:
        whole = self.first + index
        file = bisect_right(self.ends, whole)
        return file, whole - (self.ends[file - 1] if file else 0)


@dataclass(frozen=True)
class ZarrSource:
    """Slices of a zarr array (N, H, W).

    Attributes
    ----------
    path : Path
    shape : (N, H, W)
        Of the slices taken.
    step : int
        Slices in a chunk of the array.
    first : int
        Number of the first slice taken.
    """

    path: Path
    shape: tuple[int, int, int]
    step: int
    first: int = 0

    def slices(self, start: int, stop: int) -> Iterator[Array | SkullnbError]:
        """Read slices `start` to `stop`, a chunk of the array in memory at a time."""
        array = zarr().open_array(self.path, mode="r")
        low, high = self.first + start, self.first + stop
        while low < high:
            end = min(high, (low // self.step + 1) * self.step)
            try:
                images = array[low:end]
            except (OSError, MemoryError):
                raise
            except Exception as error:  # every codec fails in its own way
                damaged = UnreadableFile(
                    f"{self.path.name} is damaged in the chunk of slices {low} to {end - 1}; "
                    "make a new copy of it."
                )
                damaged.__cause__ = error
                yield from [damaged] * (end - low)
            else:
                yield from images
            low = end

    def origin(self, index: int) -> tuple[str, int]:
        """Name of the array, and the slice's number in it."""
        return self.path.name, self.first + index

    def files(self) -> list[Path]:
        """All files of the array."""
        return sorted(path for path in self.path.rglob("*") if path.is_file())


Source = FileSource | ZarrSource


def open_source(images: str | Path, slices: str = "") -> Source:
    """Find the slices that a path stands for; no pixel is read.

    Parameters
    ----------
    images : str or Path
        A file, a folder or a pattern, as for `skullnb.stack.read_stack`, with slices of one size;
        or the folder of a zarr array (N, H, W).
    slices : str
        One range, such as `1000:2000` (2000 left out); all slices when empty.

    Returns
    -------
    Source

    Raises
    ------
    UnreadableFile
        If there is nothing to read, or a file's header is damaged.
    ShapeMismatch
        If files differ in the size of their slices.
    InvalidSetting
        If `slices` is no range.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a", "b"):
    ...         np.save(Path(folder) / f"{name}.npy", np.zeros((3, 8, 6)))
    ...     source = open_source(folder, "2:5")
    >>> source.shape, source.origin(1)
    ((3, 8, 6), ('b.npy', 0))
    """
    # Workers need not have this one's current folder.
    path = expand(images).absolute() if str(images).strip() else Path()
    source: Source = _open_zarr(path) if is_zarr(path) else _open_files(path)
    if not slices.strip():
        return source
    chosen = evenly(parse_slices(slices, source.shape[0]))
    if not isinstance(chosen, slice) or chosen.step != 1:
        raise InvalidSetting(f"A batch takes one range of slices, such as 0:1000, not {slices!r}.")
    shape = (chosen.stop - chosen.start, *source.shape[1:])
    return replace(source, shape=shape, first=chosen.start)


def is_zarr(path: Path) -> bool:
    """Whether a path is the folder of a zarr array, or called like one.

    Examples
    --------
    >>> is_zarr(Path("scans.zarr")), is_zarr(Path("scans.npy"))
    (True, False)
    """
    marks = ("zarr.json", ".zarray")
    return path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in marks)


def zarr() -> Any:
    """Import zarr, or say how to get it."""
    try:
        return import_module("zarr")
    except ImportError as error:
        raise InvalidSetting(
            "Zarr arrays need zarr, which is not installed; run: pip install 'skullnb[batch]'"
        ) from error


def _open_zarr(path: Path) -> ZarrSource:
    module = zarr()
    try:
        _refuse_pickles(path)
        array = module.open_array(path, mode="r")
    except SkullnbError:
        raise
    except Exception as error:  # each version of zarr fails in its own way
        raise UnreadableFile(f"{path.name} is no zarr array that can be read.") from error
    if len(array.shape) != 3:
        raise UnreadableFile(
            f"{path.name} has {told_dimensions(array.shape)}; give an array of "
            "(slices, rows, columns)."
        )
    shape = stack_shape(path, array.shape, array.dtype)
    chunk, stored = array.chunks, array.shards or array.chunks
    if min(*chunk, *stored) < 1:
        raise UnreadableFile(f"{path.name} has chunks of the shape {chunk}, which hold nothing.")
    refuse_more_than_memory(path, size_in_bytes(chunk, array.dtype))
    source = ZarrSource(path, shape, int(chunk[0]))
    # Chunks that hold nothing but the fill value are not stored, but a scan has others.
    promised = prod(-(-size // side) for size, side in zip(shape, stored, strict=True))
    there = len(source.files())
    if promised > _MOST_EMPTY_CHUNKS * there:
        raise UnreadableFile(
            f"{path.name} promises {promised:,} chunks and stores {there:,} files; it is not "
            "complete or its description is wrong, make a new copy of it."
        )
    return source


def _refuse_pickles(path: Path) -> None:
    """Refuse chunks that are pickled: zarr's older format can name that as their codec."""
    about = path / ".zarray"
    if not about.is_file():
        return
    content = json.loads(about.read_bytes())
    codecs = [content.get("compressor"), *(content.get("filters") or [])]
    if any(codec and codec["id"] == "pickle" for codec in codecs):
        raise UnreadableFile(
            f"{path.name} holds pickled chunks, which could run code when opened; save it with "
            "another codec."
        )


def _open_files(images: Path) -> FileSource:
    inputs = tuple(list_volumes(images, every_series=True))
    shapes = [one.open().shape for one in inputs]
    for one, shape in zip(inputs, shapes, strict=True):
        if shape[1:] != shapes[0][1:]:
            raise ShapeMismatch(
                f"The slices of {one.path.name} are {shape[1]} x {shape[2]} px, those of "
                f"{inputs[0].path.name} {shapes[0][1]} x {shapes[0][2]} px; a batch has slices of "
                "one size."
            )
    ends = tuple(accumulate(shape[0] for shape in shapes))
    return FileSource(inputs, ends, (ends[-1], *shapes[0][1:]))


def _read(one: Input, start: int, many: int, size: tuple[int, ...]) -> Iterator[Array]:
    """Open a file now, and read its slices one by one."""
    if one.path.suffix.lower() != ".npy":
        return iter(_kept_volume(one)[start : start + many])
    array = one.open().read()
    if not (isinstance(array, np.memmap) and array.flags.c_contiguous):
        return map(np.array, array[start : start + many])
    # Reading into a buffer is faster than touching mapped pages one by one, and what was read
    # does not count as this program's memory.
    return _read_npy(one.path, array.dtype, array.offset, start, many, size)


def _read_npy(
    path: Path, dtype: np.dtype[Any], offset: int, start: int, many: int, size: tuple[int, ...]
) -> Iterator[Array]:
    n_pixels = size[0] * size[1]
    with path.open("rb", buffering=0) as file:
        file.seek(offset + start * n_pixels * dtype.itemsize)
        for _ in range(many):
            pixels = np.fromfile(file, dtype, n_pixels)
            if len(pixels) < n_pixels:
                return  # the file has become shorter
            yield pixels.reshape(size)


def _kept_volume(one: Input) -> Array:
    """Read a file whole, and keep it for this thread's next chunk."""
    if getattr(_kept, "input", None) is not one:
        _kept.images = _kept.input = None  # two of them would need twice the memory
        _kept.images, _kept.input = one.open().read(), one
    images: Array = _kept.images
    return images
