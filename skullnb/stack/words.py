"""What a user types for a stack: paths, `0.667x0.7`, `104:127`, `a,a,b`, an axis."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from skullnb.errors import InvalidSetting, UnreadableFile

AXES = ("axial", "coronal", "sagittal")

_LEAST_MM, _MOST_MM = 1e-6, 1e6  # what no scanner leaves, and all later arithmetic stands
_LONGEST_LIST = 1 << 26  # bytes of a file of labels
_LONGEST_NAME = 256  # a longer one would bury its own error
_NUMBER_OR_NOTHING = r"(-?\d{1,18})?"  # no head has more slices than that has digits


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
    except (RuntimeError, TypeError, ValueError) as error:
        raise UnreadableFile(f"The path {path} can't be: {error}; check it.") from error
    except OSError as error:
        text = str(path)
        shown = text if len(text) < _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."
        raise UnreadableFile(
            f"The path {shown} can't be looked up: {error.strerror}; check it."
        ) from error
    refuse_strange_name(whole)
    return whole


def refuse_strange_name(path: Path) -> None:
    """Refuse a name with bytes that are no letters: neither a table nor a page could hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UnreadableFile(f"The name {path} has bytes that are no UTF-8; rename it.") from error


def suffix_of(path: Path) -> str:
    """Return a file's ending in lower case; `.nii.gz` is one ending.

    >>> suffix_of(Path("A.NII.GZ")), suffix_of(Path("scan.v2.npy"))
    ('.nii.gz', '.npy')
    """
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def stem(path: Path) -> str:
    """Return a file's name without its ending.

    >>> stem(Path("scans/sub-01.nii.gz"))
    'sub-01'
    """
    return path.name[: len(path.name) - len(suffix_of(path))]


def natural_key(path: Path) -> list[str | int]:
    """Return a sort key that takes runs of digits in a file's name as numbers."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [int(piece) if piece.isdecimal() else piece for piece in pieces]


def parse_axis(axis: str) -> str:
    """Return the name of an anatomical axis in lower case; `""` leaves it to the volume."""
    name = str(axis).strip().lower()
    if name not in ("", *AXES):
        raise InvalidSetting(f"The axis {axis!r} is not known; use axial, coronal or sagittal.")
    return name


def parse_spacing(spacing: object) -> tuple[float, float] | None:
    """Turn a spacing as typed into (row, column) in mm a pixel; None where there is none.

    >>> parse_spacing("0.667x0.7"), parse_spacing(0.5), parse_spacing("")
    ((0.667, 0.7), (0.5, 0.5), None)
    """
    if spacing is None or (isinstance(spacing, str) and not spacing.strip()):
        return None
    parts = re.split(r"[x×,]", spacing.lower()) if isinstance(spacing, str) else spacing
    try:
        values = [float(part) for part in (parts if isinstance(parts, Iterable) else [parts])]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        values = []
    good = all(_LEAST_MM <= value <= _MOST_MM for value in values)
    if len(values) not in (1, 2) or not good or isinstance(spacing, bool):
        raise InvalidSetting(
            f"The spacing {spacing!r} is not one or two numbers above 0 (a nanometre to a "
            "kilometre); give millimetres a pixel as 0.5, or row x column, for example 0.667x0.7."
        )
    return values[0], values[-1]


def parse_slices(slices: object, n_slices: int) -> list[int]:
    """Turn a choice of slices as typed into slice numbers, none twice; `""` is all of them.

    >>> parse_slices("1:4, -1", 10)
    [1, 2, 3, 9]
    """
    text = "" if slices is None else str(slices).strip()
    if not text:
        return list(range(n_slices))
    chosen: list[int] = []
    for part in text.split(","):
        pieces = [piece.strip() for piece in part.split(":")]
        known = all(re.fullmatch(_NUMBER_OR_NOTHING, piece) for piece in pieces)
        bounds = [int(piece) if piece else None for piece in pieces] if known else []
        step = bounds[2] if len(bounds) == 3 else None
        if not 1 <= len(bounds) <= 3 or bounds == [None] or (step is not None and step < 1):
            raise InvalidSetting(
                f"The slices {text!r} can't be read; give numbers and ranges such as 104:127 "
                "(127 left out), 3, or 1,5,9."
            )
        first = bounds[0]
        if len(bounds) > 1:
            chosen += range(n_slices)[slice(*bounds)]
        elif first is not None and -n_slices <= first < n_slices:
            chosen.append(first % n_slices)
        else:
            raise InvalidSetting(
                f"Slice {first} is asked for, but there are {n_slices}: 0 to {n_slices - 1}."
            )
    if not chosen:
        raise InvalidSetting(
            f"The slices {text!r} choose nothing; there are {n_slices}: 0 to {n_slices - 1}."
        )
    twice, times = Counter(chosen).most_common(1)[0]
    if times > 1:
        raise InvalidSetting(
            f"The slices {text!r} name slice {twice} more than once; name it once."
        )
    return chosen


def parse_groups(groups: object) -> tuple[str, ...] | None:
    """Turn labels, given by commas, as a sequence, or in a text file with one a line, into a tuple.

    >>> parse_groups("anna, anna, ben")
    ('anna', 'anna', 'ben')
    """
    if groups is None or (isinstance(groups, str) and not groups.strip()):
        return None
    where = "the list of groups"
    if isinstance(groups, Path) or (isinstance(groups, str) and _names_a_file(groups)):
        path = expand(groups)
        where, labels = path.name, _labels_in(path)
    elif isinstance(groups, Sequence) and not isinstance(groups, str):
        labels = [str(label).strip() for label in groups]
    else:
        labels = [label.strip() for label in str(groups).split(",")]
    for number, label in enumerate(labels, start=1):
        if not label:
            raise InvalidSetting(f"Label {number} in {where} is empty; give every slice a label.")
        if label.encode(errors="ignore").decode() != label:
            raise InvalidSetting(
                f"Label {number} in {where} has bytes that are no letters; write it anew."
            )
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
            f"The groups file {path.name} is missing or not a text file; give one label a line."
        ) from error
    labels = [line.strip().strip("\"'") for line in lines]
    if labels and labels[0].lower() in ("group", "groups"):
        del labels[0]
    several = [number for number, label in enumerate(labels, 1) if {*label} & {",", "\t"}]
    if several:
        raise InvalidSetting(
            f"Label {several[0]} in {path.name} has several columns; keep one label a line."
        )
    if not labels:
        raise InvalidSetting(f"The groups file {path.name} is empty; give one label a line.")
    return labels
