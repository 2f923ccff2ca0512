"""The words a user gives for a stack (`0.667x0.7`, `104:127`, `a,a,b`), turned into values."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.stack.names import expand

AXES = ("axial", "coronal", "sagittal")

_LEAST_MM, _MOST_MM = 1e-6, 1e6  # what no scanner leaves, and all later arithmetic stands
_LONGEST_LIST = 1 << 26  # bytes of a file of labels
_NUMBER_OR_NOTHING = r"(-?\d{1,18})?"  # no head has more slices than that has digits


def parse_axis(axis: str) -> str:
    """Check the name of an anatomical axis.

    Parameters
    ----------
    axis : str
        `axial`, `coronal` or `sagittal`, in any case.

    Returns
    -------
    str
        The name in lower case.

    Raises
    ------
    InvalidSetting
        For any other word.

    Examples
    --------
    >>> parse_axis("Axial")
    'axial'
    """
    name = str(axis).strip().lower()
    if name not in AXES:
        raise InvalidSetting(f"The axis {axis!r} is not known; use axial, coronal or sagittal.")
    return name


def parse_spacing(spacing: object) -> tuple[float, float] | None:
    """Turn a spacing as typed into millimetres a pixel.

    Parameters
    ----------
    spacing : str, float, pair of floats, or None
        `""` or None is unknown; one number holds for rows and columns; two, separated by `x`
        or a comma, are the step from row to row and from column to column.

    Returns
    -------
    tuple of two floats or None
        (row, column) in mm.

    Raises
    ------
    InvalidSetting
        If it is not one or two numbers from 1e-6 to 1e6, a nanometre to a kilometre.

    Examples
    --------
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
    """Turn a choice of slices as typed into slice numbers.

    Parameters
    ----------
    slices : str, int or None
        `""` or None is all of them. Numbers count from 0 and from the end when negative; ranges
        are Python's: `104:127` leaves 127 out, `::5` is every fifth. Commas join several.
    n_slices : int
        How many there are to choose from.

    Returns
    -------
    list of int
        In the order asked for, each in [0, n_slices), none twice.

    Raises
    ------
    InvalidSetting
        If it can't be read, chooses nothing, or names a slice that is not there or twice.

    Examples
    --------
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
    if len(set(chosen)) < len(chosen):
        twice = Counter(chosen).most_common(1)[0][0]
        raise InvalidSetting(
            f"The slices {text!r} name slice {twice} more than once; name it once."
        )
    return chosen


def parse_groups(groups: object) -> tuple[str, ...] | None:
    """Turn group labels as typed into a tuple of labels.

    Parameters
    ----------
    groups : str, Path, sequence or None
        `""` or None is unknown; the path of a text file with one label a line (a first line
        `group` is a heading); labels separated by commas; or the labels themselves.

    Returns
    -------
    tuple of str or None
        The labels, in order.

    Raises
    ------
    InvalidSetting
        If a label is empty or no text, or a line holds more than one.
    UnreadableFile
        If the file is missing or not text.

    Examples
    --------
    >>> parse_groups("anna, anna, ben")
    ('anna', 'anna', 'ben')
    """
    if groups is None or (isinstance(groups, str) and not groups.strip()):
        return None
    where = "the list of groups"
    if isinstance(groups, Path) or (isinstance(groups, str) and _names_a_file(groups)):
        path = expand(groups)
        where = path.name
        labels = _labels_in(path)
    elif isinstance(groups, Sequence) and not isinstance(groups, str):
        labels = [str(label).strip() for label in groups]
    else:
        labels = [label.strip() for label in str(groups).split(",")]
    for number, label in enumerate(labels, start=1):
        if not label:
            raise InvalidSetting(f"Label {number} in {where} is empty; give every slice a label.")
        try:
            label.encode()
        except UnicodeEncodeError as error:
            raise InvalidSetting(
                f"Label {number} in {where} has bytes that are no letters; write it anew."
            ) from error
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
    for number, label in enumerate(labels, start=1):
        if "," in label or "\t" in label:
            raise InvalidSetting(
                f"Label {number} in {path.name} has several columns; keep one label a line."
            )
    if not labels:
        raise InvalidSetting(f"The groups file {path.name} is empty; give one label a line.")
    return labels
