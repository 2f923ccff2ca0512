"""What makes a batch safe to kill: a journal of what is done, in the folder of its `Workplace`.

Masks are made under `OUT.partial/`. A chunk counts as done when its line is in the journal, and
the line is written only after the masks are on the disk. A kill in between costs the chunk, never
its correctness: the same masks are written again at the same place.
"""

from __future__ import annotations

import json
import os
import re
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
    table's rows of its slices. Every line carries its checksum. The first line that is damaged,
    was cut short by a kill or tells of no chunk does not count, nor does what follows it: both
    are cut off, so that those chunks are done again.

    Parameters
    ----------
    path : Path
        A journal begun by `begin`.

    Attributes
    ----------
    about : dict
        Has `shape`, whose first number is how many slices there are, `chunk`, and the name of the
        `masks`.
    done : dict of int to int
        Number of a finished chunk to the place of its line.
    n_slices : int
        Slices of the finished chunks.

    Raises
    ------
    BatchStopped
        If the file, or its first line, is none that a batch wrote.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done: dict[int, int] = {}
        self.n_slices = 0
        place = 0
        if path.is_file() and not path.is_symlink():  # a pipe would be waited for
            with path.open("rb") as file:
                for line in file:
                    content = _content(line)
                    if place == 0 and _is_about_a_batch(content):
                        self.about: dict[str, Any] = content
                    elif place and self._has_chunk(content):
                        self._count(content["chunk"], place)
                    else:
                        break
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
        ...     about = {"shape": [7, 8, 6], "chunk": 2, "masks": "masks-0123abcd"}
        ...     Journal.begin(path, about).append({3: [["a row"]]})
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
            self.n_slices += self._n_slices_in(chunk)
        self.done[chunk] = place

    def _n_slices_in(self, chunk: int) -> int:
        """Slices in a chunk, of which the last may be smaller; less than 1 where there is none."""
        size, n_slices = self.about["chunk"], self.about["shape"][0]
        return int(min(size, n_slices - chunk * size)) if chunk >= 0 else 0

    def _has_chunk(self, content: Any) -> bool:
        match content:
            case {"chunk": int(chunk), "rows": [_, *_] as rows}:
                return len(rows) == self._n_slices_in(chunk)
        return False

    def rows(self, chunks: Iterable[int]) -> Iterator[list[Any]]:
        """Read the rows of chunks again, in the order asked for, a chunk in memory at a time."""
        with self._path.open("rb") as file:
            for chunk in chunks:
                file.seek(self.done[chunk])
                yield from _content(file.readline())["rows"]


def _line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _content(line: bytes) -> Any:
    """Read a line; None when it is damaged or cut short."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_about_a_batch(content: Any) -> bool:
    match content:
        case {"shape": [int(), int(), int()], "chunk": int(chunk), "masks": str(name)}:
            # The name is joined to a folder, and what is called so is written to.
            return chunk > 0 and re.fullmatch("masks-[0-9a-f]{8}", name) is not None
    return False
