"""What a user may type, and what a file must be before its pixels are read, and a mask is kept."""

import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from math import prod
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, SkullnbError, UnreadableFile

Array = np.ndarray[Any, Any]

_LEAST_MM, _MOST_MM = 1e-6, 1e6  # what no scanner leaves, and all later arithmetic stands
_SILENCE = RLock()  # what warnings are shown is the whole program's


@contextmanager
def in_one_sentence(path: Path, quoting: bool = True) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one sentence, `quoting` it or not."""
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise UnreadableFile(f"{path.name} is empty, a file of 0 bytes; make a new copy.")
        yield
    except SkullnbError:
        raise
    except Exception as error:  # every parser fails in its own way
        # What the computer refuses quotes nothing of the file, and may be gone tomorrow.
        told = quoting or isinstance(error, MemoryError) or getattr(error, "errno", None)
        lines = str(error).strip().splitlines() if told else []
        reason = (lines or [type(error).__name__])[0][:160].rstrip(".")
        if "Python objects" in reason:  # numpy can't map them, so their type is not asked for
            check_pixels(path, (), np.dtype(object))
        why = "it is damaged, cut short, not what its name says, or needs a package or more memory"
        kind, hint = ("", "") if quoting else (" as DICOM", " (pip install 'skullnb[dicom]')")
        said = f"{path.name} can't be read{kind} ({reason}): {why} than here{hint}."
        raise UnreadableFile(said) from (error if told else None)


@contextmanager
def logs_kept() -> Iterator[None]:
    """Keep to ourselves what libraries log: it may quote what a file says."""

    def hear(record: logging.LogRecord) -> bool:
        if record.name == "tifffile" and record.levelno >= logging.ERROR:
            raise ValueError(record.getMessage())  # it goes on without the pages it can't find
        return False

    with ExitStack() as after:
        for talker in map(logging.getLogger, ("pydicom", "nibabel.global", "tifffile")):
            talker.addFilter(hear)
            after.callback(talker.removeFilter, hear)
        yield


@contextmanager
def silenced() -> Iterator[None]:
    """Keep what libraries warn of, too; only one thread at a time may."""
    with _SILENCE, warnings.catch_warnings(action="ignore"), logs_kept():
        yield


def refuse_size(path: Path, promised: int, stored: int | None = None) -> None:
    """Refuse, before memory is taken, more bytes than are stored or, if packed, memory holds."""
    # Windows, which has no sysconf, refuses by itself what it can't back with memory.
    if stored is None and hasattr(os, "sysconf"):
        stored = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if stored is not None and promised > stored:
        told = f"{path.name} promises {promised:,} bytes of pixels, more than the {stored:,}"
        raise UnreadableFile(f"{told} that it or this computer's memory holds; make a new copy.")


def check_pixels(path: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Refuse pixels that are no real numbers, and more or less than one volume or slice."""
    size = tuple(shape)
    held = "Python objects instead of numbers" if dtype.hasobject else dtype
    many = f"{len(size)} dimensions, {size}, as several volumes or colours do"
    faults = {
        f"holds {held}; give real grey values, no colours": dtype.kind not in "buif",
        f"is empty: its shape {size} has no pixels; give a slice or more": min(size, default=1) < 1,
        f"has the shape {size}; give one volume or slice": len(size) < 2,
        f"has {many}; give one volume or slice, such as one time point": prod(size[3:]) > 1,
    }
    for told in (one for one, wrong in faults.items() if wrong):
        raise UnreadableFile(f"{path.name} {told}.")


def stack_shape(path: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> tuple[int, int, int]:
    """Return (N, H, W) for an array without orientation; refuse colours in its last axis."""
    check_pixels(path, shape, dtype)
    n, height, width = shape[:3] if len(shape) > 2 else (1, *shape)
    if len(shape) > 2 and width in (1, 3, 4) and min(n, height) > 4:
        raise UnreadableFile(f"{path.name} ends in colour channels, {tuple(shape)}; give grey.")
    return n, height, width


def binary_mask(reference: Array, name: str = "The mask", numbers: Sequence[int] = ()) -> Array:
    """Return a mask of {0, 1}, {0, 255} or bool as uint8 {0, 1}, the same memory if it is one."""
    mask = np.asanyarray(reference.view(np.uint8)) if reference.dtype == np.bool_ else reference
    high = 255 if mask.dtype.kind in "uif" and any(255 in plane for plane in mask) else 1
    # Slice by slice, so that a mask larger than memory can be checked.
    for place, plane in enumerate(mask):
        if not np.isin(plane, (0, high)).all():
            told = f"{name} is not binary in slice {numbers[place] if numbers else place}"
            raise InvalidSetting(f"{told}; give 0 and 1, or 0 and 255, only.")
    return mask if mask.dtype == np.uint8 and high == 1 else (mask == high).astype(np.uint8)


def as_background(images: Array, missing: Array) -> Array:
    """Return images with background where values are missing: 0, or the lowest below 0."""
    lowest = np.min(images, initial=0, where=~missing)
    return np.where(missing, images.dtype.type(lowest), images) if missing.any() else images


def needed(module: str, what: str, extra: str) -> Any:
    """Import a module that only an extra of this package brings, or say how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InvalidSetting(f"{what} needs {module}: pip install 'skullnb[{extra}]'") from error


def expand(path: str | Path) -> Path:
    """Return a path with `~` written out, or say why there can be nothing there."""
    try:
        whole = Path(path).expanduser()
        str(whole).encode()  # neither a table nor a page could hold another name
        whole.exists()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        why = "it is no UTF-8" if isinstance(error, UnicodeError) else error
        told = f"The path {str(path)[:256]} can't be looked up: {getattr(error, 'strerror', why)}"
        raise UnreadableFile(f"{told}; check it.") from error
    return whole


def suffix_of(path: Path) -> str:
    """Return a file's ending in lower case; `.nii.gz` is one ending."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def stem(path: Path) -> str:
    """Return a file's name without its ending."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def natural_key(name: str) -> list[str | int]:
    """Return a key that sorts a, a2, A3, a10 in this order."""
    return [int(one) if one.isdecimal() else one for one in re.split(r"(\d+)", name.casefold())]


def parse_spacing(spacing: object) -> tuple[float, float] | None:
    """Turn a spacing as typed into (row, column) in mm a pixel; None where there is none."""
    if spacing is None or (isinstance(spacing, str) and not spacing.strip()):
        return None
    parts: Any = re.split(r"[x×,]", spacing.lower()) if isinstance(spacing, str) else spacing
    try:
        values = [float(part) for part in np.ravel(parts)]
    except (TypeError, ValueError):
        values = []
    if len(values) not in (1, 2) or not all(_LEAST_MM <= one <= _MOST_MM for one in values):
        told = "give mm a pixel as 0.5, or row x column, for example 0.667x0.7"
        raise InvalidSetting(f"The spacing {spacing!r} is not one or two numbers above 0; {told}.")
    return values[0], values[-1]


def parse_slices(slices: object, n_slices: int) -> list[int]:
    """Turn a choice of slices as typed into slice numbers, none twice; `""` is all of them."""
    text, numbers = "" if slices is None else str(slices).strip(), range(n_slices)
    chosen, wrong = list[int](), f"choose none, one twice, or others than 0 to {n_slices - 1}"
    try:
        for part in (text or ":").split(","):
            bounds = [int(one) if one.strip() else None for one in part.split(":")]
            chosen += numbers[slice(*bounds)] if len(bounds) > 1 else [numbers[bounds[0]]]  # type: ignore[index]
    except IndexError:
        chosen = []
    except (TypeError, ValueError):
        chosen, wrong = [], "are not understood"
    if not chosen or len(set(chosen)) < len(chosen):
        told = f"The slices {text!r} {wrong}; give numbers and ranges such as"
        raise InvalidSetting(f"{told} 129:152, 3, or 1,5,9.")
    return chosen


def parse_groups(groups: object) -> tuple[str, ...] | None:
    """Turn labels into a tuple: a sequence, or text with commas or, in a file, a label a line."""
    text = str(groups).strip()
    if groups is None or text == "":
        return None
    labels = text.split(",")
    if isinstance(groups, Sequence) and not isinstance(groups, str):
        labels = list(map(str, groups))
    elif text.lower().endswith((".txt", ".csv", ".tsv")) or os.path.isfile(text):  # noqa: PTH113
        path = expand(text)
        if not path.is_file():  # a pipe would be waited for
            raise UnreadableFile(f"There is no groups file {path}; check the path.")
        with in_one_sentence(path):
            labels = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    labels = [label.strip() for label in labels]
    for number, label in enumerate(labels, start=1):
        if not label or "," in label or label.encode(errors="ignore").decode() != label:
            told = "is empty, or has a comma or strange bytes"
            raise InvalidSetting(f"Label {number} of the groups {told}.")
    return tuple(labels)
