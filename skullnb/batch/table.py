"""The table beside the masks: one row a slice, as CSV, or as Parquet where pyarrow is there."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from skullnb.batch.work import COLUMNS
from skullnb.results import sync_path
from skullnb.text import for_spreadsheet

_TEXTS = ("source", "status", "reason", "warnings")
_ROWS_AT_A_TIME = 2_000


def table_of(output: Path) -> Path:
    """Return where the table of some masks is written, by what is installed.

    Examples
    --------
    >>> table_of(Path("out/masks.npy")).stem
    'masks.npy'
    """
    return output.with_name(output.name + (".parquet" if find_spec("pyarrow") else ".csv"))


def write_table(rows: Iterable[list[Any]], output: Path) -> Path:
    """Write the table of a batch, whole or not at all.

    Parameters
    ----------
    rows : iterable of list
        In the order of `skullnb.batch.work.COLUMNS`; None where something was not looked at.
    output : Path
        The masks; the table is called after them, and ends in .parquet or .csv.

    Returns
    -------
    Path
    """
    path = table_of(output)
    passing = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        (_write_parquet if path.suffix == ".parquet" else _write_csv)(rows, passing)
        sync_path(passing)
        passing.replace(path)
    finally:
        passing.unlink(missing_ok=True)
    return path


def read_table(path: str | Path) -> list[dict[str, Any]]:
    """Read a table that `write_table` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    list of dict
        One a row, by column; numbers as int, None where something was not looked at.

    Examples
    --------
    >>> import tempfile
    >>> row = [0, "a.npy", 0, "ok", 23, 4, 0, 90, 110, 120, "", ""]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_table(write_table([row], Path(folder) / "m.npy"))[0]["mask_px"]
    120
    """
    path = Path(path)
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = import_module("pyarrow.parquet").read_table(path).to_pylist()
        return rows
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {
                name: text.removeprefix("'") if name in _TEXTS else int(text) if text else None
                for name, text in row.items()
            }
            for row in csv.DictReader(file)
        ]


def _write_csv(rows: Iterable[list[Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(_guarded, row) for row in rows)


def _guarded(value: Any) -> Any:
    """Keep a spreadsheet from running a text; any text is itself again without one apostrophe."""
    if isinstance(value, str) and value.startswith("'"):
        return f"'{value}"
    return for_spreadsheet(value)


def _write_parquet(rows: Iterable[list[Any]], path: Path) -> None:
    pyarrow = import_module("pyarrow")
    parquet = import_module("pyarrow.parquet")
    schema = pyarrow.schema(
        [(name, pyarrow.string() if name in _TEXTS else pyarrow.int64()) for name in COLUMNS]
    )
    with parquet.ParquetWriter(path, schema) as writer:
        for some in _in_parts(rows):
            columns = [list(column) for column in zip(*some, strict=True)]
            writer.write_table(pyarrow.table(columns, schema=schema))


def _in_parts(rows: Iterable[list[Any]]) -> Iterator[list[list[Any]]]:
    left = iter(rows)
    while some := list(islice(left, _ROWS_AT_A_TIME)):
        yield some
