"""Files of slices without orientation: numpy's, zarr, TIFF, and pictures; headers come first."""

import json
import logging
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from skullnb.errors import UnreadableFile
from skullnb.stack import checks
from skullnb.stack.checks import Array
from skullnb.stack.model import Volume


def npz_names(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz file; none for other files."""
    if checks.suffix_of(path) != ".npz" or not path.is_file():
        return []
    with checks.in_one_sentence(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def open_npy(path: Path, axis: str, part: str) -> Volume:
    """Open an .npy file; see `skullnb.stack.read.open_volume`."""
    array = np.lib.format.open_memmap(path, mode="r")
    shape = checks.stack_shape(path, array.shape, array.dtype)
    load = np.lib.format.open_memmap
    return Volume(path, shape=shape, load=lambda: load(path, mode="r").reshape(shape))


def open_npz(path: Path, axis: str, part: str) -> Volume:
    """Open an .npz file; see `skullnb.stack.read.open_volume`."""
    names = npz_names(path)
    key = names[0] if len(names) == 1 else part
    if key not in names:
        told = f"{len(names)} arrays ({', '.join(names[:6])}) and none is called {part}"
        raise UnreadableFile(f"{path.name} holds {told}; keep one in it, or give it that name.")
    with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
        first = np.lib.format.read_magic(member) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        dimensions, _, dtype = read(member)
    shape = checks.stack_shape(path, dimensions, dtype)
    checks.refuse_size(path, prod(shape) * dtype.itemsize)

    def load(name: str) -> Array:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[name])

    extras = {"groups", "spacing_mm", "synthetic"} & {*names} if part == "images" else ()
    known: dict[str, Any] = {name: load(name).tolist() for name in extras}
    # A text would be taken for a file's name, and files name no files here.
    known["groups"] = checks.parse_groups([*np.ravel(known["groups"])] if "groups" in known else "")
    known["spacing_mm"] = checks.parse_spacing(known.get("spacing_mm"))
    return Volume(path, shape=shape, load=lambda: load(key).reshape(shape), **known)


def is_zarr(path: Path) -> bool:
    """Say whether a path is the folder of a zarr array, or called like one."""
    marks = ("zarr.json", ".zarray")
    return path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in marks)


def open_zarr(path: Path, axis: str, part: str) -> Volume:
    """Open a zarr array, whose slices are read when they are asked for."""
    zarr: Any = checks.needed("zarr", "A zarr array", "batch")
    older = path / ".zarray"
    about = json.loads(older.read_bytes()) if older.is_file() else {}
    if "pickle" in str([about.get("compressor"), about.get("filters")]):
        raise UnreadableFile(f"{path.name} holds pickled chunks, which could run code.")
    array = zarr.open_array(path, mode="r")
    if array.ndim != 3:
        raise ValueError("it has not the shape (slices, rows, columns)")
    shape = checks.stack_shape(path, array.shape, array.dtype)
    return Volume(path, shape=shape, load=lambda: array)


def open_tiff(path: Path, axis: str, part: str) -> Volume:
    """Open a TIFF, one page a slice; see `skullnb.stack.read.open_volume`."""
    import tifffile

    # What an OME file says of other files is not asked: it could name any.
    with _tiff_errors(), tifffile.TiffFile(path, is_ome=False) as tiff:
        series, page = tiff.series, tiff.series[0].keyframe
        first, about = series[0], tiff.pages.first.description or ""
        deep = len(series) > 1 and max(one.ndim for one in series) > 3
        if deep or len({(one.shape[-2:], one.dtype) for one in series}) > 1:
            raise UnreadableFile(f"{path.name} holds several sizes or types of image; save one.")
        ome = re.findall(r'\bSize([ZCT])="(\d{1,9})"', about if "<OME" in about else "")
        axes = {*zip(first.axes, first.shape, strict=True), *((one, int(n)) for one, n in ome)}
        many = {one for one, n in axes if one in "ZCT" and n > 1}
        # Some programs call any stack channels, so only a colour's number of them is colour.
        colour = "S" in first.axes or {("C", 2), ("C", 3), ("C", 4)} & axes
        # tifffile writes a mask of bool as if white were 0, and means 1 all the same.
        own_mask = page.dtype == np.bool_ and str(page.software).startswith("tifffile")
        grey = page.photometric == 1 or (page.photometric == 0 and own_mask)
        if colour or len(many) > 1 or not grey:
            told = "colour, several channels or time points, or inverted grey"
            raise UnreadableFile(f"{path.name} holds {told}; save one channel with black as 0.")
        shape = tuple(first.shape)
        if len(series) > 1:  # written a page at a time
            shape = (sum(one.size for one in series) // prod(shape[-2:]), *shape[-2:])
        shape = checks.stack_shape(path, shape, first.dtype)
        mappable = len(series) == 1 and page.is_memmappable and first.dataoffset is not None
        stored = path.stat().st_size if mappable else None
        checks.refuse_size(path, prod(shape) * first.dtype.itemsize, stored)

    def load() -> Array:
        with _tiff_errors():
            if mappable:
                return np.asanyarray(tifffile.memmap(path, mode="r", is_ome=False).reshape(shape))
            with tifffile.TiffFile(path, is_ome=False) as again:
                pages = [one.asarray().reshape(-1, *shape[1:]) for one in again.series]
        return np.concatenate(pages)

    return Volume(path, shape=shape, load=load)


@contextmanager
def _tiff_errors() -> Iterator[None]:
    """Raise what tifffile only logs: it skips pages it can't find and goes on without them."""
    messages: list[str] = []

    def hear(record: logging.LogRecord) -> bool:
        messages.extend([record.getMessage()] if record.levelno >= logging.ERROR else [])
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(hear)
    try:
        yield
    finally:
        logger.removeFilter(hear)
    if messages:
        raise ValueError(messages[0])


def open_picture(path: Path, axis: str, part: str) -> Volume:
    """Open a PNG or JPG of one slice; see `skullnb.stack.read.open_volume`."""
    pixels = _grey(path)  # one slice is quickly read, and twice is less than keeping thousands
    shape = checks.stack_shape(path, pixels.shape, pixels.dtype)
    return Volume(path, shape=shape, load=lambda: _grey(path).reshape(shape))


def _grey(path: Path) -> Array:
    """Decode a picture; three equal channels are one of grey, and a full alpha says nothing."""
    import cv2

    content = path.read_bytes()
    # Of a JPG cut short a decoder would paint the rest grey, and say nothing.
    whole = content[:2] != b"\xff\xd8" or b"\xff\xd9" in content[-1024:]
    stored = np.frombuffer(content if whole else b"0", np.uint8)
    pixels: Any = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("it can't be decoded")
    grey, *others = np.atleast_3d(pixels).transpose(2, 0, 1)
    see_through = len(others) == 3 and (others.pop() < np.iinfo(pixels.dtype).max).any()
    if see_through or any((grey != one).any() for one in others):
        raise UnreadableFile(f"{path.name} holds colour or transparency; save grey values.")
    return np.ascontiguousarray(grey)
