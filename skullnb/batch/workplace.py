"""A folder in which one run, and only one, makes masks; nothing in it but what a batch made."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import socket
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from skullnb.batch.journal import Journal
from skullnb.errors import BatchStopped

_OWNER = b"process "  # how every lock of a batch begins
_TAKEN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)
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
            with suppress(FileExistsError):
                self.folder.mkdir()
            try:
                is_new = self._open_lock()
            except FileNotFoundError:
                continue  # another run has just finished and cleaned up
            has_it = take_lock(self._lock)
            self._lock.seek(0)
            owner = self._lock.read(1000)
            # The lock of a folder that was cleaned up meanwhile protects nothing.
            if has_it is False or is_still_named(self._lock, self._lock_path):
                break
            self._lock.close()
        if has_it is None:
            warnings.warn(
                f"The disk of {self.folder} keeps no locks; see to it that only one run writes "
                f"{self.output.name}.",
                stacklevel=3,
            )
        if has_it is False:
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
        if self.folder.is_symlink() or self.folder.is_file():
            raise self._not_ours()
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
        is_new = True
        try:
            handle = os.open(self._lock_path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            is_new = False
            try:
                handle = os.open(self._lock_path, flags)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EISDIR):
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
        name = glob.escape(self.output.name)
        own = (".journal*", f"masks-{_NUMBER}", f"replaced-{_NUMBER}", f"{name}.*", f".{name}.*")
        for pattern in own:
            for path in self.folder.glob(pattern):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def _is_worth_keeping(self) -> bool:
        """Whether a chunk is done, or perhaps was: a damaged journal is for people to judge."""
        try:
            return self.journal.exists() and bool(Journal(self.journal).done)
        except BatchStopped:
            return True


def take_lock(file: BinaryIO) -> bool | None:
    """Take a lock that the system frees when its owner ends, however it ends.

    Parameters
    ----------
    file : open file
        Holds the lock until it is closed.

    Returns
    -------
    bool or None
        False when another process, or another open file, has it; None where the disk keeps no
        locks, as some network disks.

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
    except OSError as error:
        return False if error.errno in _TAKEN else None
    return True


def is_still_named(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is the one that has a name; a lock without its name protects nothing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     is_still_named(file, Path(file.name)), is_still_named(file, Path("another"))
    (True, False)
    """
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
