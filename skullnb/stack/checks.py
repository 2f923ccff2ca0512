"""What a user may type, and what a file must be before its pixels are read, and a mask is kept."""

import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from skullnb.errors import InvalidSetting, SkullnbError, UnreadableFile

Array = np.ndarray[Any, Any]
AXES = ("axial", "coronal", "sagittal")

_LEAST_MM, _MOST_MM = 1e-6, 1e6  # what no scanner leaves, and all later arithmetic stands
_LONGEST_LIST = 1 << 26  # bytes of a file of labels
_NUMBER = r"(-?\d{1,18})?"  # no head has more slices than that has digits
_LESS = "give a part of it, or a .npy, which is read in pieces."
_SILENCE = RLock()  # what warnings are shown is the whole program's, so one thread at a time


@contextmanager
def in_one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one sentence."""
    try:
        yield
    except SkullnbError:
        raise
    except Exception as error:  # every parser fails in its own way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")
        package = getattr(error, "name", "") if isinstance(error, ModuleNotFoundError) else ""
        package = package or ("imagecodecs" if "imagecodecs" in reason else "")
        if package:  # for a rare kind of compression or container
            told = f"needs the package {package}; run: pip install {package}"
        elif isinstance(error, MemoryError):
            told = f"needs more memory than there is; {_LESS}"
        elif re.search(
            "allow_pickle=False|Python objects", reason
        ):  # numpy's advice is to allow it
            told = "holds pickled Python objects, which could run code; save an array of numbers."
        else:
            told = (
                f"can't be read: it is damaged or not what its name says ({reason}); copy it anew."
            )
        raise UnreadableFile(f"{path.name} {told}") from error


@contextmanager
def silenced() -> Iterator[None]:
    """Keep to ourselves what libraries log and warn of: it may quote what a file says."""
    with _SILENCE, warnings.catch_warnings(), ExitStack() as before:
        warnings.simplefilter("ignore")
        for talker in map(logging.getLogger, ("pydicom", "nibabel.global")):
            before.callback(setattr, talker, "disabled", talker.disabled)
            talker.disabled = True
        yield


def refuse_size(path: Path, promised: int, stored: int | None = None) -> None:
    """Refuse, before memory is taken, more bytes than are stored or, if packed, memory holds."""
    told = f"{path.name} promises {promised:,} bytes of pixels"
    if stored is not None and promised > stored:
        raise UnreadableFile(f"{told} but stores {stored:,}; it is cut short, make a new copy.")
    # Windows, which has no sysconf, refuses by itself what it can't back with memory.
    if stored is None and hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if promised > memory:
            raise UnreadableFile(f"{told}, more than this computer has memory for; {_LESS}")


def refuse_dimensions(path: Path, shape: Sequence[int], wanted: str) -> None:
    """Say how many dimensions a file has, and what is wanted instead."""
    told = f"{len(shape)} dimension{'s' * (len(shape) != 1)}, {tuple(shape)}"
    raise UnreadableFile(f"{path.name} has {told}; give {wanted}.")


def stack_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, int, int]:
    """Return (N, H, W) for an array of slices without orientation, or refuse it."""
    refuse_strange_pixels(path, shape, dtype)
    if len(shape) not in (2, 3):
        refuse_dimensions(path, shape, "(slices, rows, columns)")
    n, height, width = (1, *shape)[-3:]
    if len(shape) == 3 and width in (1, 3, 4) and min(n, height) > 4:
        refuse_dimensions(path, shape, "grey slices first, and no colour channels last")
    return n, height, width


def refuse_strange_pixels(path: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Refuse pixels that are not plain numbers, and none."""
    if dtype.kind not in "buif":
        raise UnreadableFile(
            f"{path.name} holds values of type {dtype}; give real grey values, one channel, of "
            "complex numbers the magnitude."
        )
    if min(shape, default=1) < 1:
        raise UnreadableFile(f"{path.name} holds no pixels, its shape is {tuple(shape)}.")


def binary_mask(reference: Array, what: str = "reference mask") -> Array:
    """Return a mask of {0, 1}, {0, 255} or bool as uint8 {0, 1}, the same memory if it is one."""
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
    lowest = np.min(images, initial=0, where=np.isfinite(images))
    return np.where(np.isnan(images), images.dtype.type(lowest), images)


# --- what a user types: paths, `0.667x0.7`, `104:127`, `a,a,b`, an axis ---------------------------


def needed(module: str, what: str, extra: str) -> Any:
    """Import a module that only an extra of this package brings, or say how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise InvalidSetting(
            f"{what} needs {module}, which is not installed; run: pip install 'skullnb[{extra}]'"
        ) from error


def expand(path: str | Path) -> Path:
    """Return a path with `~` written out, or say why there can be nothing there."""
    try:
        whole = Path(path).expanduser()
        whole.exists()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        shown, reason = str(path)[:256], getattr(error, "strerror", None) or error
        raise UnreadableFile(f"The path {shown} can't be looked up: {reason}; check it.") from error
    refuse_strange_name(whole)
    return whole


def refuse_strange_name(path: Path) -> None:
    """Refuse a name with bytes that are no letters: neither a table nor a page could hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UnreadableFile(f"The name {path} has bytes that are no UTF-8; rename it.") from error


def suffix_of(path: Path) -> str:
    """Return a file's ending in lower case; `.nii.gz` is one ending."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def stem(path: Path) -> str:
    """Return a file's name without its ending."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def natural_key(path: Path) -> list[list[str | int]]:
    """Return a key for a.png, a2.jpg, a2.png, a10.png in this order: by name, then by ending."""
    both = [re.split(r"(\d+)", name.casefold()) for name in (stem(path), path.name)]
    return [[int(one) if one.isdecimal() else one for one in pieces] for pieces in both]


def parse_axis(axis: str) -> str:
    """Return the name of an anatomical axis in lower case; `""` leaves it to the volume."""
    name = str(axis).strip().lower()
    if name not in ("", *AXES):
        raise InvalidSetting(f"The axis {axis!r} is not known; use axial, coronal or sagittal.")
    return name


def parse_spacing(spacing: object) -> tuple[float, float] | None:
    """Turn a spacing as typed into (row, column) in mm a pixel; None where there is none."""
    if spacing is None or (isinstance(spacing, str) and not spacing.strip()):
        return None
    parts = re.split(r"[x×,]", spacing.lower()) if isinstance(spacing, str) else spacing
    values: list[float] = []
    with suppress(TypeError, ValueError):
        values = [float(part) for part in (parts if isinstance(parts, Iterable) else [parts])]  # type: ignore[arg-type]
    good = all(_LEAST_MM <= value <= _MOST_MM for value in values)
    if len(values) not in (1, 2) or not good or isinstance(spacing, bool):
        raise InvalidSetting(
            f"The spacing {spacing!r} is not one or two numbers above 0; give mm a pixel as 0.5, "
            "or row x column, for example 0.667x0.7."
        )
    return values[0], values[-1]


def parse_slices(slices: object, n_slices: int) -> list[int]:
    """Turn a choice of slices as typed into slice numbers, none twice; `""` is all of them."""
    text = "" if slices is None else str(slices).strip()
    there, chosen = f"there are {n_slices}: 0 to {n_slices - 1}", list[int]()
    for part in re.sub(r"\s*([:,])\s*", r"\1", text or ":").split(","):
        found = re.fullmatch(rf"{_NUMBER}(?:(:){_NUMBER}(?::(\d{{1,18}})?)?)?", part)
        if not part or not found or not int(found[4] or 1):
            raise InvalidSetting(
                f"The slices {text!r} can't be read; give numbers and ranges such as 104:127 "
                "(127 left out), 3, or 1,5,9."
            )
        first, stop, step = (int(one) if one else None for one in found.group(1, 3, 4))
        if found[2]:
            chosen += range(n_slices)[slice(first, stop, step)]
        elif first is not None and -n_slices <= first < n_slices:
            chosen.append(first % n_slices)
        else:
            raise InvalidSetting(f"Slice {first} is asked for, but {there}.")
    if not chosen:
        raise InvalidSetting(f"The slices {text!r} choose nothing; {there}.")
    twice, times = Counter(chosen).most_common(1)[0]
    if times > 1:
        raise InvalidSetting(f"The slices {text!r} name slice {twice} more than once.")
    return chosen


def parse_groups(groups: object) -> tuple[str, ...] | None:
    """Turn labels, given by commas, as a sequence or in a text file, one a line, into a tuple."""
    if groups is None or (isinstance(groups, str) and not groups.strip()):
        return None
    where = "the list of groups"
    if isinstance(groups, Path) or (isinstance(groups, str) and _names_a_file(groups)):
        path = expand(groups)
        where, labels = path.name, _labels_in(path)
    elif isinstance(groups, Sequence) and not isinstance(groups, str):
        labels = list(map(str, groups))
    else:
        labels = str(groups).split(",")
    labels = [label.strip() for label in labels]
    for number, label in enumerate(labels, start=1):
        wrong = "" if label else "is empty"
        if wrong or label.encode(errors="ignore").decode() != label:
            wrong = wrong or "has bytes that are no letters"
            raise InvalidSetting(f"Label {number} in {where} {wrong}; give every slice a label.")
    return tuple(labels)


def _names_a_file(text: str) -> bool:
    """Whether a groups setting is a path: it ends like a text file, or such a file exists."""
    if text.strip().lower().endswith((".txt", ".csv", ".tsv")):
        return True
    with suppress(OSError, RuntimeError, ValueError):  # what can't be a file's name may be a label
        return "," not in text and Path(text).expanduser().is_file()
    return False


def _labels_in(path: Path) -> list[str]:
    """Read the labels of a text file, one a line."""
    try:
        # A pipe would be waited for, and scans given by mistake read to their end.
        if not path.is_file() or path.stat().st_size > _LONGEST_LIST:
            raise OSError
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(
            f"The groups file {path.name} is missing or not a text file."
        ) from error
    labels = [line.strip().strip("\"'") for line in lines]
    if labels[:1] and labels[0].lower() in ("group", "groups"):
        del labels[0]
    if not labels or any({*label} & {",", "\t"} for label in labels):
        wrong = "has several columns" if labels else "is empty"
        raise InvalidSetting(f"The groups file {path.name} {wrong}; give one label a line.")
    return labels
