"""What makes a batch safe to kill: a folder of its own, a lock, and a journal of what is done.

Masks are made under `OUT.partial/`. A chunk counts as done when its line is in the journal, and
the line is written only after the masks are on the disk. A kill in between costs the chunk, never
its correctness: the same masks are written again at the same place.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from skullnb.errors import BatchStopped
from skullnb.results import sync_path, write_text

FORMAT = "skullnb-batch-1"

Rows = list[list[Any]]

_OWNER = b"process "  # how every lock of a batch begins
_NUMBER = "[0-9a-f]" * 8  # in names of what a run makes


class Workplace:
    """The folder in which one run, and only one, makes the masks of an output.

    Parameters
    ----------
    output : Path
        Where the masks will be when they are complete.

    Raises
    ------
    BatchStopped
        On entering, if another run is at work there, or the folder is somebody else's.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Workplace(Path(folder) / "masks.npy") as place:
    ...         place.folder.name
    'masks.npy.partial'
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.parent / f"{output.name}.partial"
        self.journal = self.folder / "journal"
        self._lock_path = self.folder / "lock"
        self._cleared = False

    def __enter__(self) -> Workplace:
        """Make the folder and lock it."""
        while True:
            try:
                is_new = self._open_lock()
            except FileNotFoundError:
                continue  # another run has just finished and cleaned up
            has_it = take_lock(self._lock)
            self._lock.seek(0)
            owner = self._lock.read(1000)
            # The lock of a folder that was cleaned up meanwhile protects nothing.
            if not has_it or self._is_current():
                break
            self._lock.close()
        if not has_it:
            self._lock.close()
            raise BatchStopped(
                f"Another run ({owner.decode(errors='replace') or 'another process'}) is writing "
                f"{self.output.name}; wait for it, or choose another output."
            )
        has_content = any(path != self._lock_path for path in self.folder.iterdir())
        if (is_new and has_content) or not (owner == b"" or owner.startswith(_OWNER)):
            self._lock.close()
            if is_new:
                self._lock_path.unlink()
            raise self._not_ours()
        self._lock.seek(0)
        self._lock.truncate()
        with suppress(OSError):  # on a full disk the lock holds without its owner's name
            self._lock.write(b"%s%d on %s" % (_OWNER, os.getpid(), socket.gethostname().encode()))
        return self

    def _open_lock(self) -> bool:
        """Open the lock, no link and nothing but a file; say whether it was not there before."""
        if self.folder.is_symlink():
            raise self._not_ours()
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
        is_new = True
        try:
            self.folder.mkdir(exist_ok=True)
            try:
                handle = os.open(self._lock_path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                handle, is_new = os.open(self._lock_path, flags), False
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ELOOP, errno.EISDIR):
                raise self._not_ours() from error
            raise
        self._lock: BinaryIO = os.fdopen(handle, "r+b", buffering=0)
        return is_new

    def _not_ours(self) -> BatchStopped:
        return BatchStopped(
            f"{self.folder} is not what a batch left behind; move it away, or choose another "
            "output."
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back; keep the folder when there is something to go on from."""
        try:
            if not self._cleared and not self._is_worth_keeping():
                self.clear()
        finally:
            self._lock.close()

    def masks(self, journal: Journal) -> Path:
        """Where the masks are until they are complete."""
        return self.folder / str(journal.about["masks"])

    def clear(self) -> None:
        """Remove the folder; the lock goes last, so that nobody meets half a folder."""
        self._cleared = True
        self.empty()
        self._lock_path.unlink()
        with suppress(OSError):  # the next run may have come in already
            self.folder.rmdir()

    def empty(self) -> None:
        """Remove what a batch makes, but for the lock; first the journal, which tells of the rest.

        Whatever else there is stays: somebody put it there.
        """
        self.journal.unlink(missing_ok=True)
        for pattern in (".journal*", f"masks-{_NUMBER}", f"replaced-{_NUMBER}"):
            for path in self.folder.glob(pattern):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def _is_worth_keeping(self) -> bool:
        """Whether a chunk is done."""
        return self.journal.exists() and bool(Journal(self.journal).done)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._lock.fileno()), self._lock_path.stat())
        except FileNotFoundError:
            return False


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


def take_lock(file: BinaryIO) -> bool:
    """Take a lock that the system frees when its owner ends, however it ends.

    Parameters
    ----------
    file : open file
        Holds the lock until it is closed.

    Returns
    -------
    bool
        False when another process, or another open file, has it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, open(file.name, "rb") as other:
    ...     take_lock(file), take_lock(other)
    (True, False)
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 20)  # bytes past the text, which others may read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
