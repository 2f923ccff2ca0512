"""Where a report goes: what may be replaced, and how the finished folder gets its name."""

from __future__ import annotations

import glob
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from skullnb.batch.workplace import is_still_named, take_lock
from skullnb.errors import InvalidSetting

MARKER = ".skullnb-report"
"""A file in every report; a folder without it is never overwritten."""

_DIGITS = 8  # of the number that tells apart runs for the same output


def check_output(output: Path, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output folder that a report may not take.

    `output`: without links on the way. `overwrite`: whether an older report may be replaced.
    `inputs`: the data's files and folders; none may lie in what would be replaced.

    Raises
    ------
    InvalidSetting
        If the folder is not empty and not an older report, or may not be overwritten, or can't get
        its name when the report is finished.
    """
    if output.is_file():
        raise InvalidSetting(f"The output folder {output.name!r} is a file; choose another name.")
    if strange := set("*?[]") & set(str(output)):
        # What makes the pages would take the name for a pattern, and not find its pictures.
        raise InvalidSetting(
            f"The path of the output folder holds {' and '.join(sorted(strange))}, where no pages "
            "can be made; choose another folder."
        )
    if output.is_mount():
        raise InvalidSetting(
            f"The output folder {output.name!r} is where a disk is mounted, and can't be renamed; "
            "choose a folder in it."
        )
    if Path.cwd().is_relative_to(output):
        raise InvalidSetting(
            "The output folder is the current one, or holds it; choose a new folder's name."
        )
    if not output.exists() or not any(output.iterdir()):
        return
    if not overwrite:
        raise InvalidSetting(
            f"The output folder {output.name!r} is not empty; choose another, or overwrite it "
            "(--overwrite)."
        )
    if not (output / MARKER).is_file():
        raise InvalidSetting(
            f"The output folder {output.name!r} holds something that is not a skullnb report,"
            " so it is not overwritten; choose another."
        )
    for path in inputs:
        if path.resolve().is_relative_to(output):
            raise InvalidSetting(
                f"The input {path.name!r} lies in the output folder {output.name!r}, which"
                " would be replaced; choose another output folder."
            )


def tidy(output: Path) -> None:
    """Remove what runs for the same output left behind when they were killed.

    A lock tells, which the system frees with its process; a folder without one is nobody's. A run
    killed just between the two names of `put_in_place` leaves the older report aside, whole; it
    gets its name back, or waits where something that is no report has taken the name.
    """
    # All eight digits, or `report` would take what is left of `report-2` for its own.
    runs = f".{glob.escape(output.name)}-{'[0-9a-f]' * _DIGITS}"
    for path in output.parent.glob(f"{runs}.lock"):
        with suppress(FileNotFoundError), path.open("r+b") as lock:
            if not take_lock(lock):
                continue
            shutil.rmtree(path.with_suffix(".partial"), ignore_errors=True)
            old = path.with_suffix(".old")
            _give_back(old, output)
            if (output / MARKER).is_file():
                shutil.rmtree(old, ignore_errors=True)
            if os.name != "nt":  # while it is held: who waits for it then sees that it is gone
                _unlock(path)
        if os.name == "nt":
            with suppress(PermissionError):  # who waits for it has it open, and so it stays
                _unlock(path)
    for path in output.parent.glob(f"{runs}.partial"):
        if not path.with_suffix(".lock").exists():
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def workplace(output: Path) -> Iterator[Path]:
    """Give a folder beside the output to make a report in; nothing is left of it afterwards."""
    work = output.parent / f".{output.name}-{uuid.uuid4().hex[:_DIGITS]}.partial"
    path = work.with_suffix(".lock")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(path):
            work.mkdir()
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        _unlock(path)


def _locked(path: Path) -> BinaryIO:
    """Take a new lock; another run may meet it before it is taken, and tidy it up."""
    while True:
        lock = path.open("wb")
        if take_lock(lock) is not False and is_still_named(lock, path):
            return lock
        lock.close()
        time.sleep(0.01)


def put_in_place(work: Path, output: Path, overwrite: bool = False) -> None:
    """Give the finished report its name; an older one steps aside until that has worked.

    `work`: the finished report, on the same file system. `output`: where it goes. `overwrite`:
    whether an older report may be replaced.

    Raises
    ------
    InvalidSetting
        If something that may not be replaced has taken the name in the minutes since it was free.
    """
    (work / MARKER).write_text("Made by skullnb; safe to overwrite.\n", encoding="utf-8")
    check_output(output, overwrite)
    old = work.with_suffix(".old")
    if output.exists():
        output.rename(old)
    try:
        work.rename(output)
    except BaseException:
        _give_back(old, output)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _give_back(old: Path, output: Path) -> None:
    """Give an older report that stepped aside its name again, where nothing else has it."""
    with suppress(OSError):
        old.rename(output)


def _unlock(lock: Path) -> None:
    """Remove a lock, unless `tidy` is still to find an older report by it."""
    if not lock.with_suffix(".old").exists():
        lock.unlink(missing_ok=True)
