"""Why a batch does not begin, or does not go on: a sentence each, with what to do."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skullnb.batch.fingerprint import fingerprint
from skullnb.batch.journal import Journal
from skullnb.batch.outputs import PACKED, Output, description_of
from skullnb.batch.sources import Source, is_zarr
from skullnb.batch.table import table_of
from skullnb.errors import BatchStopped, SkullnbError, UnreadableFile
from skullnb.results import passing_name
from skullnb.stack import split_series

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def refuse_place(path: Path, images: str | Path, source: Source) -> None:
    """Refuse an output with no folder or too long a name, or among the images."""
    if not path.parent.is_dir():
        raise UnreadableFile(f"There is no folder {path.parent} to write {path.name} in; make it.")
    for one in (table_of(path), description_of(path)):
        try:
            passing_name(one).lstat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise UnreadableFile(
                    f"The name {path.name[:40]}... is too long for others to be made of it; choose "
                    "a shorter one."
                ) from error
    if _is_among(path, images):
        raise UnreadableFile(
            f"{path.name} would lie among the images, which are read as a whole; write it to "
            "another folder."
        )
    if not path.exists():
        return
    # One file or folder has many names: links, second names, roundabout ways.
    inputs = [one.resolve() for one in source.files()]
    places = {*inputs, *(folder for one in inputs for folder in one.parents)}
    if any(path.samefile(place) for place in places):
        raise UnreadableFile(f"{path.name} is what the slices come from; write to another name.")


def _is_among(path: Path, images: str | Path) -> bool:
    """Whether an output would be taken for a part of the images the next time."""
    whole, folder = split_series(images)[0].absolute(), path.parent.resolve()
    if not whole.exists():
        return path.match(str(whole))  # a pattern
    folders = (folder, *folder.parents) if is_zarr(whole) else (folder,)
    return any(one.samefile(whole) for one in folders)


def refuse_taken(path: Path, kind: str, overwrite: bool) -> None:
    """Refuse names that somebody's files have; a folder's for good, unless it is masks."""
    for one in (path, table_of(path), description_of(path)):
        if one.is_dir() and not (one == path and kind == ".zarr" and _is_array(one)):
            raise UnreadableFile(f"{one} is a folder, which is not replaced; choose another name.")
        if os.path.lexists(one) and not overwrite:
            raise UnreadableFile(
                f"{one} exists already; move it, choose another name or allow overwriting "
                "(--overwrite)."
            )


def _is_array(folder: Path) -> bool:
    """Whether a folder is one zarr array, such as a batch writes, and no group of many."""
    try:
        return bool(json.loads((folder / "zarr.json").read_bytes())["node_type"] == "array")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def refuse_without_room(output: Output, path: Path) -> None:
    """Refuse masks that are larger than what is free on their disk."""
    free, needed = shutil.disk_usage(path.parent).free, output.n_bytes()
    if needed > free:
        raise BatchStopped(
            f"{path.name} takes {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free; make "
            f"room, or write {PACKED} (an eighth) or .zarr (compressed)."
        )


def refuse_changed(source: Source, before: Mapping[str, Any], path: Path) -> None:
    """Refuse to finish masks of images that were changed meanwhile."""
    if fingerprint(source.files()) != before:
        raise BatchStopped(
            f"The images were changed while {path.name} was being made of them, so its masks may "
            "be of both; allow overwriting (--overwrite) to begin anew."
        )


@contextmanager
def say_how_to_go_on(path: Path, journal: Journal | None) -> Iterator[None]:
    """Turn what stops a batch into a sentence that ends with how to go on."""

    def go_on() -> str:
        kept = len(journal.done) if journal else 0
        return f"run the same command again to go on ({kept} finished chunks are kept)"

    try:
        yield
    except SkullnbError:
        raise
    except BrokenProcessPool as error:
        raise BatchStopped(
            f"A worker process of {path.name} was killed, perhaps for want of memory; {go_on()}."
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise BatchStopped(
                f"The disk is full, so {path.name} is not finished; make room and {go_on()}."
            ) from error
        raise BatchStopped(
            f"{path.name} is not finished, because something can't be read or written "
            f"({error.strerror or error}); see to that and {go_on()}."
        ) from error
    except Exception as error:
        # Named by its name, because dask is not there for everybody.
        if type(error).__name__ not in ("KilledWorker", "FutureCancelledError", "CancelledError"):
            raise
        raise BatchStopped(
            f"Workers of the cluster were killed again and again over {path.name}, perhaps for "
            f"want of memory; {go_on()}."
        ) from error
