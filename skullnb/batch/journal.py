"""What makes a batch safe to kill: a journal of what is done, in the folder of its `Workplace`.

Masks are made under `OUT.partial/`. A chunk counts as done when its line is in the journal, and
the line is written only after the masks are on the disk. A kill in between costs the chunk, never
its correctness: the same masks are written again at the same place.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from skullnb.errors import BatchStopped
from skullnb.results import sync_path, write_text

FORMAT = "skullnb-batch-1"

Rows = list[list[Any]]


class Journal:
    """What a batch is about, and which of its chunks are done.

    The first line is what the batch is about; then comes a line for each finished chunk, with the
    table's rows of its slices. Every line carries its checksum. The first line that is damaged, or
    was cut short by a kill, does not count and nor does what follows it: both are cut off, so that
    those chunks are done again.

    Parameters
    ----------
    path : Path
        A journal begun by `begin`.

    Attributes
    ----------
    about : dict
        Has `shape`, whose first number is how many slices there are, and `chunk`.
    done : dict of int to int
        Number of a finished chunk to the place of its line.
    n_slices : int
        Slices of the finished chunks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done: dict[int, int] = {}
        self.n_slices = 0
        place = 0
        with path.open("rb") as file:
            for line in file:
                content = _content(line)
                if content is None:
                    break
                if place == 0:
                    self.about: dict[str, Any] = content
                else:
                    self._count(content["chunk"], place)
                place += len(line)
        if place == 0:
            raise BatchStopped(f"{path} is damaged; allow overwriting (--overwrite) to begin anew.")
        os.truncate(path, place)

    @classmethod
    def begin(cls, path: Path, about: Mapping[str, Any]) -> Journal:
        """Begin a journal: whole or not at all.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "journal"
        ...     Journal.begin(path, {"shape": [7, 8, 6], "chunk": 2}).append({3: [["a row"]]})
        ...     again = Journal(path)
        ...     again.n_slices, list(again.done), list(again.rows([3]))
        (1, [3], [['a row']])
        """
        write_text(_line(about).decode(), path)
        sync_path(path.parent)
        return cls(path)

    def append(self, rows: Mapping[int, Rows]) -> None:
        """Mark chunks as done; their masks must be on the disk already.

        Parameters
        ----------
        rows : mapping of int to list
            Number of a chunk to the table's rows of its slices.
        """
        with self._path.open("ab") as file:
            for chunk, its_rows in rows.items():
                self._count(chunk, file.tell())
                file.write(_line({"chunk": chunk, "rows": its_rows}))
            file.flush()
            os.fsync(file.fileno())

    def _count(self, chunk: int, place: int) -> None:
        if chunk not in self.done:
            size, n_slices = self.about["chunk"], self.about["shape"][0]
            self.n_slices += min(size, n_slices - chunk * size)  # the last one may be smaller
        self.done[chunk] = place

    def rows(self, chunks: Iterable[int]) -> Iterator[list[Any]]:
        """Read the rows of chunks again, in the order asked for, a chunk in memory at a time."""
        with self._path.open("rb") as file:
            for chunk in chunks:
                file.seek(self.done[chunk])
                content = _content(file.readline())
                assert content is not None
                yield from content["rows"]


def _line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _content(line: bytes) -> dict[str, Any] | None:
    """Read a line; None when it is damaged or cut short."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    content: dict[str, Any] = json.loads(text)
    return content
