"""Going on from an earlier run, and giving finished masks their name."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from operator import index
from pathlib import Path
from typing import Any

from skullnb.batch.journal import Journal
from skullnb.batch.outputs import PACKED, description_of, kind_of, open_output
from skullnb.batch.refusals import refuse_taken
from skullnb.batch.table import write_table
from skullnb.batch.work import COLUMNS
from skullnb.batch.workplace import Workplace
from skullnb.errors import BatchStopped, UnreadableFile
from skullnb.results import sync_path, write_json

_LAYOUTS = {
    ".npy": "(slices, rows, columns), one byte a pixel, 1 is inside",
    PACKED: "(slices, rows, bytes), one bit a pixel, leftmost pixel in the highest bit; "
    "numpy.unpackbits(masks, axis=-1, count=shape[2])",
    ".zarr": "(slices, rows, columns), one byte a pixel before compression, 1 is inside; 255 "
    "stands for what is missing",
}


@dataclass(frozen=True)
class Counts:
    """How many slices of which kind a batch has.

    Attributes
    ----------
    n_slices : int
    n_empty : int
        With an empty mask, because there is nothing to choose.
    n_failed : int
        That could not be worked on; their mask is empty too.
    n_warned : int
        Whose mask looks wrong. The table says why, for all three.
    """

    n_slices: int
    n_empty: int
    n_failed: int
    n_warned: int


@dataclass(frozen=True)
class BatchResult:
    """What came of a batch.

    Attributes
    ----------
    path, table : Path
        The masks, and the table with a row for every slice.
    counts : Counts
    n_resumed : int
        Slices that were done before this run began.
    seconds : float
        Of this run.
    """

    path: Path
    table: Path
    counts: Counts
    n_resumed: int
    seconds: float


def resume(
    place: Workplace, about: Mapping[str, Any], kind: str, overwrite: bool
) -> Journal | None:
    """Open the journal of an earlier run.

    Parameters
    ----------
    place : Workplace
    about : mapping
        What is asked for now.
    kind : str
        One of `skullnb.batch.outputs.KINDS`.
    overwrite : bool
        Whether what was begun otherwise may be forgotten.

    Returns
    -------
    Journal or None
        None when there is nothing to go on from.

    Raises
    ------
    BatchStopped
        If it was begun otherwise, where the sentence names what differs, or is damaged.
    """
    if not place.journal.exists():
        return None
    try:
        journal = Journal(place.journal)
        if not journal.done:
            return None
        _refuse_otherwise(place, journal, about, kind)
    except BatchStopped:
        if overwrite:
            return None
        raise
    return journal


def _refuse_otherwise(
    place: Workplace, journal: Journal, about: Mapping[str, Any], kind: str
) -> None:
    """Refuse to go on with what was begun otherwise, or whose masks are not what they were."""
    differs = difference(journal.about, about)
    if differs:
        raise BatchStopped(
            f"{place.output.name} was begun differently: {differs}; do the same again to go on, or "
            "allow overwriting (--overwrite) to begin anew."
        )
    n_slices, height, width = journal.about["shape"]
    chunk, masks = journal.about["chunk"], place.masks(journal)
    # An earlier run may have been stopped between naming the masks and tidying up.
    is_named = journal.n_slices == n_slices and not masks.exists() and place.output.exists()
    found = open_output(place.output if is_named else masks, kind, (n_slices, height, width), chunk)
    if not found.is_whole(number * chunk for number in journal.done):
        raise BatchStopped(f"{masks} is damaged; allow overwriting (--overwrite) to begin anew.")


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs between two descriptions of a batch; "" when nothing does.

    Examples
    --------
    >>> before = {"slices": [0, 9], "settings": {"kernel_width": 26}}
    >>> difference(before, {"slices": [0, 9], "settings": {"kernel_width": 30}})
    'its kernel width was 26, now it is 30'
    """
    for part, new in now.items():
        old = before.get(part)
        if old == new:
            continue
        if part == "input":
            return "the images have changed since (contents, size or time of their files)"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            # Another version may have known more, or less.
            both = [(n, old.get(n, "not there"), new.get(n, "not there")) for n in {**new, **old}]
            part, old, new = next((one for one in both if one[1] != one[2]), (part, old, new))
        return f"its {part.replace('_', ' ')} was {old}, now it is {new}"
    return ""


def publish(place: Workplace, journal: Journal, kind: str, overwrite: bool) -> tuple[Counts, Path]:
    """Give finished masks their name, with table and description; every step may be repeated.

    Parameters
    ----------
    place : Workplace
    journal : Journal
        With all chunks done.
    kind : str
        One of `skullnb.batch.outputs.KINDS`.
    overwrite : bool
        Whether what has the names already may be replaced.

    Returns
    -------
    Counts
    Path
        The table.

    Raises
    ------
    UnreadableFile
        If a name is taken, perhaps since the run began.
    """
    path, masks = place.output, place.masks(journal)
    if masks.exists():
        refuse_taken(path, kind, overwrite)
        # Old masks must not be met beside the description of new ones.
        description_of(path).unlink(missing_ok=True)
        for stray in masks.rglob("*.partial"):
            stray.unlink()  # what a killed worker left of a zarr chunk
        if kind == ".zarr" and os.path.lexists(path):  # no folder can replace it in one step
            path.replace(place.folder / f"replaced-{uuid.uuid4().hex[:8]}")
        masks.replace(path)
        sync_path(path.parent)
    found: Counter[str] = Counter()
    # Made in the folder, where the next run tidies up after one that is killed now.
    table = write_table(_counted(journal, found), place.folder / path.name)
    table = table.replace(path.with_name(table.name))
    counts = Counts(
        journal.n_slices, n_empty=found["empty"], n_failed=found["failed"], n_warned=found["warned"]
    )
    description = {
        **journal.about,
        "layout": _LAYOUTS[kind],
        "table": table.name,
        "columns": list(COLUMNS),
        "counts": asdict(counts),
    }
    write_json(description, description_of(place.folder / path.name)).replace(description_of(path))
    sync_path(path.parent)
    place.clear()
    return counts, table


def finished_before(path: Path, about: Mapping[str, Any]) -> BatchResult:
    """Say again what is there, when it is what is asked for, and whole.

    Raises
    ------
    UnreadableFile
        If it is something else, or was cut short since.
    """
    try:
        found = json.loads(description_of(path).read_text(encoding="utf-8"))
        differs = difference(found, about)
        counts = Counts(**{name: index(many) for name, many in found["counts"].items()})
        table = path.with_name(found["table"])
        n_slices, chunk = about["shape"][0], index(found["chunk"])
        masks = open_output(path.resolve(), kind_of(path), about["shape"], chunk)
        starts = range(0, n_slices, chunk)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        differs = "it is not described"
    if not differs and not (masks.is_whole(starts) and table.is_file()):
        differs = "a part of it is damaged or missing"
    if differs:
        raise UnreadableFile(
            f"{path} exists already ({differs}); choose another name or "
            "allow overwriting (--overwrite)."
        )
    return BatchResult(path, table, counts, n_resumed=counts.n_slices, seconds=0.0)


def _counted(journal: Journal, found: Counter[str]) -> Iterator[list[Any]]:
    """Pass all rows on in the order of the slices, and count what they say."""
    status, warnings = COLUMNS.index("status"), COLUMNS.index("warnings")
    for row in journal.rows(sorted(journal.done)):
        found[row[status]] += 1
        found["warned"] += bool(row[warnings])
        yield row
