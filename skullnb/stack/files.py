"""Files of slices without orientation: numpy's, TIFF, and pictures; headers are checked first."""

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
from skullnb.stack.checks import (
    Array,
    in_one_sentence,
    parse_groups,
    parse_spacing,
    refuse_size,
    stack_shape,
    suffix_of,
)
from skullnb.stack.model import Volume


def npz_names(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz file; none for other files."""
    if suffix_of(path) != ".npz" or not path.is_file():
        return []
    with in_one_sentence(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def open_npy(path: Path, axis: str, part: str) -> Volume:
    """Open an .npy file; see `skullnb.stack.read.open_volume`."""

    def load() -> Array:
        return np.lib.format.open_memmap(path, mode="r")

    array = load()
    shape = stack_shape(path, array.shape, array.dtype)
    return Volume(path, shape=shape, load=lambda: load().reshape(shape))


def open_npz(path: Path, axis: str, part: str) -> Volume:
    """Open an .npz file; see `skullnb.stack.read.open_volume`."""
    names = npz_names(path)
    key = part if part in names else names[0] if len(names) == 1 else None
    if key is None:
        told = f"{len(names)} arrays ({', '.join(names[:6])}) and none is called {part}"
        raise UnreadableFile(f"{path.name} holds {told}; keep one in it, or give it that name.")
    with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
        first = np.lib.format.read_magic(member) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        dimensions, _, dtype = read(member)
    shape = stack_shape(path, dimensions, dtype)
    refuse_size(path, prod(shape) * dtype.itemsize)

    def load(name: str) -> Array:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[name])

    extras = {"groups", "spacing_mm", "synthetic"} & set(names) if part == "images" else ()
    known = {name: load(name).tolist() for name in extras}
    groups = known.get("groups")
    return Volume(
        path,
        shape=shape,
        load=lambda: load(key).reshape(shape),
        spacing_mm=parse_spacing(known.get("spacing_mm")),
        # A text would be taken for a file's name, and files name no files here.
        groups=parse_groups(groups.split(",") if isinstance(groups, str) else groups),
        synthetic=bool(known.get("synthetic")),
    )


def open_tiff(path: Path, axis: str, part: str) -> Volume:
    """Open a TIFF, one page a slice; see `skullnb.stack.read.open_volume`."""
    import tifffile

    # What an OME file says of other files is not asked: it could name any.
    with _tiff_errors(), tifffile.TiffFile(path, is_ome=False) as tiff:
        _refuse_dimensions(path, tiff.pages.first.description or "")
        series = tiff.series
        sizes = {(one.shape[-2:], one.dtype) for one in series}
        if len(sizes) != 1 or any(one.ndim not in (2, 3) for one in series[1:]):
            raise UnreadableFile(
                f"{path.name} holds {len(sizes)} sizes or types of image; save one."
            )
        first, page = series[0], series[0].keyframe
        # Some programs call any stack channels, so only a colour's number of them is colour.
        named = list(zip(first.axes, first.shape, strict=True))
        colour = "S" in first.axes or {("C", 2), ("C", 3), ("C", 4)} & set(named)
        # tifffile writes a mask of bool as if white were 0, and means 1 all the same.
        own_mask = page.dtype == np.bool_ and str(page.software).startswith("tifffile")
        grey = page.photometric == 1 or (page.photometric == 0 and own_mask)
        if colour or not grey:
            raise UnreadableFile(
                f"{path.name} holds colour channels or inverted grey (photometric "
                f"{page.photometric}, axes {first.axes}); save grey values with black as 0."
            )
        shape = tuple(first.shape)
        if len(series) > 1:  # written a page at a time
            shape = (sum(one.size for one in series) // prod(shape[-2:]), *shape[-2:])
        shape = stack_shape(path, shape, first.dtype)
        mappable = len(series) == 1 and page.is_memmappable and first.dataoffset is not None
        stored = path.stat().st_size if mappable else None
        refuse_size(path, prod(shape) * first.dtype.itemsize, stored)
        spacing = _tiff_spacing(tiff.imagej_metadata or {}, page)

    def load() -> Array:
        with _tiff_errors():
            if mappable:
                return np.asanyarray(tifffile.memmap(path, mode="r", is_ome=False).reshape(shape))
            with tifffile.TiffFile(path, is_ome=False) as again:
                pages = [one.asarray().reshape(-1, *shape[1:]) for one in again.series]
        return np.concatenate(pages) if len(pages) > 1 else pages[0].reshape(shape)

    return Volume(path, shape=shape, load=load, spacing_mm=spacing)


def _refuse_dimensions(path: Path, description: str) -> None:
    """Refuse an OME-TIFF whose pages are more than the slices of one volume."""
    named = re.findall(r'\bSize([ZCT])="(\d{1,9})"', description if "<OME" in description else "")
    many = {letter: int(size) for letter, size in named if int(size) > 1}
    if len(many) > 1 or 2 <= many.get("C", 0) <= 4:
        words = {"Z": "slices", "C": "channels", "T": "time points"}
        told = " and ".join(f"{size} {words[letter]}" for letter, size in many.items())
        raise UnreadableFile(f"{path.name} holds {told}; save one channel and one time point.")


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


def _tiff_spacing(imagej: dict[str, Any], page: Any) -> tuple[float, float] | None:
    """Return (row, column) in mm where a TIFF says it beyond doubt.

    ImageJ's own length unit counts, and pixels a centimetre. Pixels an inch are a printer's
    setting in nearly every file, as are the usual numbers of dots an inch put into centimetres.
    """
    across, down = page.resolution
    unit = str(imagej.get("unit", "")).strip().lower().replace("\\u00b5", "u")
    length = {"mm": 1.0, "cm": 10.0, "um": 0.001, "µm": 0.001, "micron": 0.001}.get(unit)
    if length is None and page.resolutionunit == 3:  # centimetre
        dots = (72, 96, 150, 200, 300, 600)
        printers = all(np.isclose(2.54 * each, dots, 0, 0.02).any() for each in (across, down))
        length = None if printers else 10.0
    if length is None or not (0 < across < np.inf and 0 < down < np.inf):
        return None
    # Stored as a fraction of 32-bit integers: six digits are what it can carry.
    return float(f"{length / down:.6g}"), float(f"{length / across:.6g}")


def open_picture(path: Path, axis: str, part: str) -> Volume:
    """Open a PNG or JPG of one slice; see `skullnb.stack.read.open_volume`."""
    pixels = _grey(path)  # one slice is quickly read, and twice is less than keeping thousands
    shape = stack_shape(path, pixels.shape, pixels.dtype)
    return Volume(path, shape=shape, load=lambda: _grey(path).reshape(shape))


def _grey(path: Path) -> Array:
    """Decode a picture; three equal channels are one of grey, and a full alpha says nothing."""
    import cv2

    content = path.read_bytes()
    # Of a JPG cut short a decoder would paint the rest grey, and say nothing.
    whole = content[:2] != b"\xff\xd8" or b"\xff\xd9" in content[-1024:]
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    if pixels is None:
        raise ValueError("it can't be decoded")
    grey, *others = np.atleast_3d(pixels).transpose(2, 0, 1)
    see_through = others[2:] and (others[2] != (255 if pixels.dtype == np.uint8 else 65535)).any()
    if see_through or any((grey != one).any() for one in others[:2]):
        raise UnreadableFile(f"{path.name} holds colour or transparency; save grey values.")
    return np.ascontiguousarray(grey)
