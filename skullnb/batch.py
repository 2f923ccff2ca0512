"""Masks of more slices than memory holds; killed at any moment, the same call goes on.

The work is done chunk by chunk in the folder `OUT.partial`. A chunk is done when its rows are there
(`rows/000012.json`), and these are written after its masks. At the end the masks get their name,
and all rows become the table beside them.

`masks.npy` holds a byte a pixel; `masks.packed.npy` a bit, the leftmost pixel highest
(`numpy.unpackbits(masks, axis=-1, count=width)` undoes it); `masks.zarr` compressed chunks of whole
slices, where 255 stands for what is missing.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from skullnb import masking
from skullnb.errors import BatchStopped, InvalidSetting, SkullnbError, UnreadableFile
from skullnb.pipeline import Mask, PipelineSettings, load, measure_slice, status_of
from skullnb.pipeline.signs import neighbour_signs
from skullnb.stack import refuse_place, split_series, writing
from skullnb.stack.many import (
    ImagesChanged,
    Slices,
    import_zarr,
    is_zarr,
    open_slices,
    pixels_of,
)
from skullnb.stack.words import expand

PACKED = ".packed.npy"
KINDS = (PACKED, ".npy", ".zarr")
_LARGE = 10**9  # bytes of a .npy whose masks are no longer made in memory
_CHUNK_BYTES = 4 * 2**20  # a worker holds the masks of one chunk
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_KILLED = ("KilledWorker", "FutureCancelledError", "CancelledError")  # dask's, where it is there
_WORDS = ("axis", "spacing_mm", "suffix", "nan_background")  # of `open_slices`
_OWN = ("rows", "lock", "about.json", "masks", "replaced", ".skullnb-")


@dataclass(frozen=True)
class Batch:
    """What came of a batch: masks, table, counts by status, which slices look wrong, remarks."""

    path: Path
    table: Path
    counts: dict[str, int]
    wrong: str
    remarks: tuple[str, ...]
    n_resumed: int
    seconds: float


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know; no pixels."""

    slices: Slices
    folder: Path
    kind: str
    chunk: int
    settings: PipelineSettings
    on_warning: str
    versions: Mapping[str, str]

    def do(self, number: int) -> int:
        """Mask one chunk: first the masks, then the rows, which say that it is done."""
        if masking.versions() != self.versions:
            raise BatchStopped(
                f"A worker has the versions {masking.versions()}, this machine {self.versions}; "
                "install the same on both."
            )
        start, stop = number * self.chunk, min((number + 1) * self.chunk, self.slices.shape[0])
        masks, rows = np.zeros((stop - start, *self.slices.shape[1:]), dtype=np.uint8), []
        for index, (name, at, image, spacing_mm) in enumerate(self.slices.read(start, stop)):
            row = {"source": name, "slice": at}
            try:
                if isinstance(image, SkullnbError):
                    raise image
                settings = self.settings.at(spacing_mm)
                found = measure_slice(image, settings, spacing_mm, slice_number=at)
            except SkullnbError as error:
                rows.append(row | {"status": "failed", "reason": str(error)})
                continue
            rows.append(row | found.row() | {"status": found.status})
            if self.on_warning == "keep" or found.status != "warned":
                masks[index] = found.mask
        self.write(start, masks)
        part = self.folder / "rows" / f"{number:06d}.json"
        part.with_suffix(".new").write_text(json.dumps(rows, default=int))
        part.with_suffix(".new").replace(part)
        return stop - start

    @property
    def masks(self) -> Path:
        """Where the masks are until all are done."""
        return self.folder / f"masks{self.kind}"

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape of the masks as stored."""
        n, height, width = self.slices.shape
        return n, height, -(-width // 8) if self.kind == PACKED else width

    def create(self) -> None:
        """Make the file of masks, as long as it will be, or the array."""
        if self.kind == ".zarr":
            chunks, kept = (self.chunk, *self.stored[1:]), {"dtype": "uint8", "fill_value": 255}
            import_zarr().create_array(self.masks, shape=self.stored, chunks=chunks, **kept)
            return
        needed, free = int(np.prod(self.stored)), shutil.disk_usage(self.folder).free
        if needed > free:
            raise BatchStopped(
                f"The masks take {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free; make "
                f"room, or write {PACKED} (an eighth) or .zarr (compressed)."
            )
        np.lib.format.open_memmap(self.masks, mode="w+", dtype=np.uint8, shape=self.stored)

    def write(self, start: int, masks: Mask) -> None:
        """Write masks from slice `start` on."""
        if self.kind == ".zarr":
            import_zarr().open_array(self.masks, mode="r+")[start : start + len(masks)] = masks
            return
        rows = np.packbits(masks, axis=-1) if self.kind == PACKED else masks
        # Not through a memory map: on a full disk that ends in a signal, not in an error.
        with self.masks.open("r+b") as file:
            file.seek(start * rows[0].size - int(np.prod(self.stored)), os.SEEK_END)
            file.write(rows.data)

    def is_whole(self) -> bool:
        """Say whether the masks are there, and as large as they were made."""
        with suppress(Exception):  # numpy and zarr fail in many ways
            zarr = self.kind == ".zarr"
            opened = import_zarr().open_array if zarr else np.lib.format.open_memmap
            return bool(opened(self.masks, mode="r").shape == self.stored)
        return False

    def rows(self) -> list[dict[str, Any]]:
        """Join the rows of all chunks, with the signs that neighbours give."""
        parts = sorted((self.folder / "rows").glob("*.json"))
        rows = [row for part in parts for row in json.loads(part.read_text())]
        good = [row for row in rows if row["status"] != "failed"]
        beside = neighbour_signs(
            [row["mask_px"] for row in good],
            [row["threshold"] for row in good],
            [row["source"] for row in good] if max(self.slices.counts) > 1 else None,
            [bool(row["warnings"]) for row in good],
        )
        for row, signs in zip(good, beside, strict=True):
            row["warnings"] = [*row["warnings"], *signs.values()]
            row["status"] = status_of(row["reason"], tuple(row["warnings"]))
        return [{"index": index, **row} for index, row in enumerate(rows)]


def mask_batch(
    images: str | Path,
    output: str | Path,
    settings: PipelineSettings | None = None,
    *,
    on_warning: str = "keep",
    workers: int | None = None,
    scheduler: str = "",
    chunk: int | None = None,
    parquet: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,
    **words: Any,
) -> Batch:
    """Make the masks of any number of slices; go on where an earlier run was stopped.

    `images` has slices of one size, or is a zarr array; `output` ends in one of `KINDS`; `words`
    are those of `stack.many.open_slices`. `workers` are threads, or those of the Dask cluster at
    the address `scheduler`, which share this disk. `chunk` slices (about 4 MB of masks) are done
    and marked together. `progress(done, n_slices)` is called first with what was done before.

    Raises SkullnbError where it can't begin, and BatchStopped if it was begun otherwise, another
    run is at it, the images change, or the disk is full.
    """
    started, path = time.monotonic(), expand(output).absolute()
    settings = settings or PipelineSettings()
    kind = next((one for one in KINDS if path.name.lower().endswith(one)), "")
    if not kind:
        raise InvalidSetting(f"A batch writes {', '.join(KINDS)}, not {path.name}.")
    if on_warning not in masking.ON_WARNING or not all(
        one is None or one >= 1 for one in (workers, chunk)
    ):
        raise InvalidSetting("Workers and chunk are at least 1, on_warning is keep or empty.")
    slices, opened = open_slices(images, **words)
    spacings = [slices.spacing_mm or one.spacing_mm for one in opened]
    used = [settings.at(one) for one in dict.fromkeys(spacings)]  # refused now, not slice by slice
    places = (path, *masking.beside(path, parquet=parquet))
    _refuse_among(places, images, slices, kind)
    folder, n = path.with_name(f"{path.name}.partial"), slices.shape[0]
    asked = {**asdict(settings), "on warning": on_warning, **dict.fromkeys(_WORDS, ""), **words}
    about = {
        "input": slices.fingerprint(),
        "slices": [slices.first, slices.first + n],
        "shape": list(slices.shape),
        "settings": {name: str(one or "") for name, one in asked.items() if name != "slices"},
        **masking.versions(),
    }
    with _only_run(folder, path), _said(path):
        begun = _read_begun(folder, about, overwrite)
        if begun is None:
            if before := _finished(places, about, overwrite, started):
                return before
            size = min(chunk or max(1, _CHUNK_BYTES // int(np.prod(slices.shape[1:]))), n)
            begun = {**about, "chunk": size}
        work = Work(slices, folder, kind, begun["chunk"], settings, on_warning, masking.versions())
        started_anew = not (folder / "about.json").exists()
        if not (started_anew or work.is_whole()) and (work.masks.exists() or not path.exists()):
            _clear(folder, overwrite, f"{work.masks} is gone or damaged")
            started_anew = True
        if started_anew:
            work.create()
            masking.write_json(begun, folder / "about.json")
        done = {int(part.stem) for part in folder.glob("rows/*.json")}
        left = [number for number in range(-(-n // work.chunk)) if number not in done]
        n_resumed = sum(min(work.chunk, n - number * work.chunk) for number in done)
        _refuse_taken(work, places, overwrite)
        progress(n_resumed, n)
        _work_through(work, left, n_resumed, workers, scheduler, progress)
        if slices.fingerprint() != about["input"]:
            raise ImagesChanged("Files have other sizes or times than before.")
        rows, remarks = (
            work.rows(),
            [
                remark
                for one, spacing in zip(opened, spacings, strict=True)
                for remark in masking.remarks_on(settings, spacing, one.remarks)
            ],
        )
        statuses = [row["status"] for row in rows]
        told = masking.describe(
            statuses, range(n), used[0], on_warning, tuple(dict.fromkeys(remarks))
        )
        _refuse_taken(work, places, overwrite)
        _publish(work, rows, places)
        with writing(places[1]) as temporary:
            masking.write_table(rows, temporary)
        masking.write_json(told | {"Batch": begun}, places[2])
        (folder / "about.json").unlink()  # what is left of the folder says nothing from now on
        shutil.rmtree(folder)
    return _batch(places, told, n_resumed, started)


def is_for_batch(images: str | Path, output: str | Path) -> bool:
    """Say whether masks are too many for memory, were begun as a batch, or only that writes them.

    Examples
    --------
    >>> is_for_batch("scan.nii.gz", "mask.nii.gz"), is_for_batch("scans.npy", "masks.zarr")
    (False, True)
    """
    given, wanted = expand(images), expand(output)
    name = wanted.name.lower()
    begun = wanted.with_name(f"{wanted.name}.partial") / "about.json"
    if begun.exists() or name.endswith((PACKED, ".zarr")) or (str(images) and is_zarr(given)):
        return True
    both_npy = name.endswith(".npy") and given.suffix.lower() == ".npy"
    return both_npy and given.is_file() and given.stat().st_size > _LARGE


@contextmanager
def _only_run(folder: Path, path: Path) -> Iterator[None]:
    """Hold the folder: no other run may write in it. It goes when no chunk in it is done."""
    import filelock

    strange = [one for one in folder.glob("*") if not one.name.startswith(_OWN)]
    if strange or folder.is_symlink() or folder.is_file():
        raise BatchStopped(
            f"{folder.name} is not what a batch left behind; move it, or choose another name."
        )
    if not path.parent.is_dir():
        raise UnreadableFile(f"There is no folder {path.parent} to write {path.name} in; make it.")
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BatchStopped(f"Another run is writing {path.name}; wait for it.") from error
    except OSError:  # as on some network disks
        told = f"The disk of {path.name} keeps no locks; see to it that only one run writes it."
        warnings.warn(told, stacklevel=2)
    try:
        yield
    finally:
        pixels_of.cache_clear()
        if not any(folder.glob("rows/*.json")):
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs between two descriptions of a batch; "" when nothing does.

    Examples
    --------
    >>> difference({"slices": [0, 9], "kernel_width": 26}, {"slices": [0, 9], "kernel_width": 30})
    'its kernel width was 26, now it is 30'
    """
    if before.get("input") != now.get("input"):
        return "the images have changed since (names, sizes or times of their files)"
    old, new = ({**one, **one.get("settings", {})} for one in (before, now))
    for name in new:
        was = old.get(name, "not there")
        if name != "settings" and was != new[name]:
            return f"its {name.replace('_', ' ')} was {was}, now it is {new[name]}"
    return ""


def _read_begun(folder: Path, about: Mapping[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """Return how the batch was begun, None where it was not; refuse to go on otherwise."""
    path, differs = folder / "about.json", "its description is damaged"
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        before = json.loads(path.read_text(encoding="utf-8"))
        differs = difference(before, about)
        if not differs:
            return {**before, "chunk": int(before["chunk"])}
    _clear(
        folder, overwrite or not path.exists(), f"{folder.name} was begun differently: {differs}"
    )
    return None


def _clear(folder: Path, allowed: bool, why: str) -> None:
    """Begin anew where that is allowed; else say why it would be necessary."""
    if not allowed:
        raise BatchStopped(
            f"{why}; do the same again to go on, or allow overwriting (--overwrite) to begin anew."
        )
    for part in (folder / "about.json", *folder.glob("rows/*"), *folder.glob("masks*")):
        _remove(part)


def _finished(
    places: Sequence[Path], about: Mapping[str, Any], overwrite: bool, started: float
) -> Batch | None:
    """Return what is there already when it is what is asked for; refuse it when it is not."""
    there, differs = [one for one in places if os.path.lexists(one)], "it is not described"
    if overwrite or not there:
        return None
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        told = json.loads(places[2].read_text(encoding="utf-8"))
        differs = difference(told["Batch"], about) or "a part is missing" * (len(there) < 3)
        if not differs:
            return _batch(places, told, told["Counts"]["slices"], started)
    raise UnreadableFile(
        f"{there[0]} exists already ({differs}); choose another name or allow overwriting "
        "(--overwrite)."
    )


def _batch(places: Sequence[Path], told: Mapping[str, Any], done: int, started: float) -> Batch:
    counts, remarks = dict(told["Counts"]), tuple(told["Remarks"])
    seconds = time.monotonic() - started
    return Batch(places[0], places[1], counts, told["LooksWrong"], remarks, done, seconds)


def _refuse_taken(work: Work, places: Sequence[Path], overwrite: bool) -> None:
    """Refuse names that somebody's files have got, as long as the masks have not got theirs."""
    there = [one for one in places if os.path.lexists(one)]
    if there and work.masks.exists() and not overwrite:
        raise UnreadableFile(
            f"{there[0]} exists already; move it, or allow overwriting (--overwrite)."
        )


def _refuse_among(places: Sequence[Path], images: str | Path, slices: Slices, kind: str) -> None:
    """Refuse to replace images or folders, and to write where masks would be read as images."""
    path, whole = places[0], split_series(images)[0].absolute()
    here = path.parent.resolve()
    if whole.is_dir():
        among = whole.resolve() in (here, *(here.parents if is_zarr(whole) else ()))
    else:
        among = not whole.exists() and path.match(str(whole))  # a pattern
    if among or path.resolve() == whole.resolve():
        raise UnreadableFile(
            f"{path.name} would lie among the images, which are read as a whole; write it to "
            "another folder."
        )
    for one in places:
        is_array = False
        with suppress(Exception):  # each version of zarr fails in its own way
            is_array = kind == ".zarr" and bool(import_zarr().open_array(one, mode="r").shape)
        if not is_array:
            refuse_place(one, slices.files(), overwrite=True)


def _publish(work: Work, rows: list[dict[str, Any]], places: Sequence[Path]) -> None:
    """Give the masks their name; an earlier run may have done so."""
    if not work.masks.exists():
        return
    if work.on_warning == "empty":  # some only look wrong beside their neighbours
        nothing = np.zeros((1, *work.slices.shape[1:]), dtype=np.uint8)
        for row in rows:
            if row["status"] == "warned":
                work.write(row["index"], nothing)
    if work.kind != ".zarr":
        with work.masks.open("rb") as file:
            os.fsync(file.fileno())
    elif places[0].exists():  # no folder can replace another in one step
        _remove(work.folder / "replaced")
        places[0].replace(work.folder / "replaced")
    places[2].unlink(missing_ok=True)  # no old description beside new masks
    work.masks.replace(places[0])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Turn what stops a batch into a sentence that ends with how to go on."""
    try:
        yield
    except ImagesChanged as error:
        raise BatchStopped(
            "The images were changed while masks were being made of them, so the masks may be of "
            "both; allow overwriting (--overwrite) to begin anew."
        ) from error
    except Exception as error:
        cause = error.__cause__ if isinstance(error, SkullnbError) else error
        number = getattr(cause, "errno", None)
        if type(error).__name__ in _KILLED:
            told = "Workers of the cluster were killed again and again, perhaps for want of memory"
        elif number in _FULL:
            told = "The disk is full"
        elif isinstance(error, OSError) and not isinstance(error, SkullnbError):
            told = f"The system says: {error.strerror or error}"
        else:
            raise
        raise BatchStopped(
            f"{told}, so {path.name} is not finished; see to it and run the same command again to "
            "go on."
        ) from error


def _work_through(
    work: Work,
    left: list[int],
    n_done: int,
    workers: int | None,
    scheduler: str,
    progress: Callable[[int, int], object],
) -> None:
    """Do all chunks that are not done; only a few wait at a time, however many there are."""
    if not left:
        return
    numbers = iter(left)
    with _crew(scheduler, workers) as (pool, size):
        waiting = {pool.submit(work.do, number) for number in islice(numbers, 3 * size)}
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                n_done += sum(one.result() for one in finished)
                waiting |= {pool.submit(work.do, one) for one in islice(numbers, len(finished))}
                progress(n_done, work.slices.shape[0])
        finally:
            for one in waiting:
                one.cancel()


@contextmanager
def _crew(scheduler: str, workers: int | None) -> Iterator[tuple[Executor, int]]:
    """Have workers ready: threads of this process, or those of a Dask cluster."""
    if not scheduler:
        size = workers or masking.n_processors()
        load()  # compiled once, not by every worker
        with masking.one_opencv_thread(), ThreadPoolExecutor(size) as pool:
            yield pool, size
        return
    try:
        client = import_module("distributed").Client(scheduler, timeout="10s", set_as_default=False)
    except ImportError as error:
        raise InvalidSetting(
            "A Dask cluster needs distributed, which is not installed; run: "
            "pip install 'skullnb[cluster]'"
        ) from error
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"No Dask scheduler answers at {scheduler!r}; start it.") from error
    with client:
        size = sum(client.nthreads().values())
        if not size:
            raise InvalidSetting(f"The Dask cluster at {scheduler!r} has no workers; start some.")
        yield client.get_executor(pure=False), size
