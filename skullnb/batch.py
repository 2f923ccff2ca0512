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
import mmap
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skullnb import masking
from skullnb.errors import BatchStopped, InvalidSetting, SkullnbError, UnreadableFile
from skullnb.pipeline import Mask, PipelineSettings, measure_slice, with_neighbours
from skullnb.stack import Volume, list_volumes, open_volume, refuse_place, writing
from skullnb.stack.words import expand, parse_slices, parse_spacing

if TYPE_CHECKING:
    import pandas as pd

PACKED = ".packed.npy"
KINDS = (PACKED, ".npy", ".zarr")
_LARGE = 10**9  # bytes of a .npy whose masks are no longer made in memory
_CHUNK_BYTES = 16 * 2**20  # a worker holds the masks of one chunk
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_KILLED = ("KilledWorker", "FutureCancelledError", "CancelledError")  # dask is not always there
_CHANGED = BatchStopped(
    "The images were changed while masks were being made of them, so the masks may be of both; "
    "allow overwriting (--overwrite) to begin anew."
)


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
class Source:
    """Slices of one size: of files, one after another, or of a zarr array; no pixels."""

    volumes: tuple[Volume, ...]
    counts: tuple[int, ...]
    shape: tuple[int, int, int]
    first: int
    spacing_mm: tuple[float, float] | None
    axis: str
    nan_background: bool

    def slices(self, start: int, stop: int) -> Iterator[tuple[str, int, Any, Any]]:
        """Give each slice's file, number there, pixels (or why they can't be read) and spacing."""
        offset = -self.first
        for volume, n in zip(self.volumes, self.counts, strict=True):
            low, high = max(start - offset, 0), min(stop - offset, n)
            offset += n
            if low >= high:
                continue
            spacing_mm, images = self.spacing_mm, None
            try:
                opened, pixels = _pixels_of(volume, self.axis, self.nan_background)
                spacing_mm, images = spacing_mm or opened.spacing_mm, pixels[low:high]
                if images.shape != (high - low, *self.shape[1:]):
                    raise _CHANGED
            except BatchStopped:
                raise
            except Exception as error:
                # What the system refuses is no property of a file, and may be gone tomorrow.
                cause = error.__cause__ or error
                refused = isinstance(cause, MemoryError) or getattr(cause, "errno", None)
                if refused or not volume.path.exists():
                    raise
                damaged = f"{volume.path.name} is damaged about slice {low}; copy it anew."
                images = [error if isinstance(error, SkullnbError) else UnreadableFile(damaged)]
                images *= high - low
            for number, image in zip(range(low, high), images, strict=True):
                yield volume.path.name, number, image, spacing_mm
            _let_go(images)

    def files(self) -> list[Path]:
        """List all files that are read."""
        every = [path for one in self.volumes for path in one.files]
        return [
            file
            for path in every
            for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
            if not file.is_dir()
        ]

    def fingerprint(self) -> list[list[Any]]:
        """Know the files again: names, sizes and times."""
        stats = [(path.name, path.stat()) for path in self.files()]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


@lru_cache(maxsize=2)
def _pixels_of(volume: Volume, axis: str, nan_background: bool) -> tuple[Volume, Any]:
    """Open a volume and its pixels: memory-mapped where the format allows; the last two stay."""
    opened = _open(volume, axis, nan_background)
    return opened, opened.pixels()


def _let_go(images: Any) -> None:
    """Give back the pages of a memory map that were read: they count as this program's memory."""
    while isinstance(images, np.ndarray):
        if isinstance(images, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
            images._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
            return
        images = images.base


def _open(volume: Volume, axis: str, nan_background: bool) -> Volume:
    """Read what a header says; a zarr array is a volume too."""
    if not is_zarr(volume.path):
        return open_volume(volume, axis, nan_background=nan_background)
    array = _open_zarr(volume.path)
    return replace(volume, shape=array.shape, load=lambda: array)


def _open_zarr(path: Path) -> Any:
    zarr, older = _zarr(), path / ".zarray"
    try:
        about = json.loads(older.read_bytes()) if older.is_file() else {}
        codecs = [about.get("compressor"), *(about.get("filters") or [])]
        array = zarr.open_array(path, mode="r")
    except Exception as error:  # each version of zarr fails in its own way
        raise UnreadableFile(f"{path.name} is no zarr array that can be read.") from error
    if any(codec and codec["id"] == "pickle" for codec in codecs):
        raise UnreadableFile(
            f"{path.name} holds pickled chunks, which could run code; save it anew."
        )
    if array.ndim != 3 or 0 in array.shape or array.dtype.kind not in "buif":
        raise UnreadableFile(
            f"{path.name} has the shape {array.shape} and holds {array.dtype}; give an array of "
            "grey values, (slices, rows, columns)."
        )
    return array


def _zarr() -> Any:
    try:
        return import_module("zarr")
    except ImportError as error:
        raise InvalidSetting(
            "Zarr arrays need zarr, which is not installed; run: pip install 'skullnb[batch]'"
        ) from error


def is_zarr(path: Path) -> bool:
    """Say whether a path is the folder of a zarr array, or called like one."""
    marks = ("zarr.json", ".zarray")
    return path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in marks)


def open_source(
    images: str | Path,
    slices: str = "",
    axis: str = "",
    spacing_mm: str = "",
    suffix: str = "",
    nan_background: bool = False,
) -> tuple[Source, list[Volume]]:
    """Find the slices that a path stands for, and read the headers of its volumes, but no pixel."""
    path = expand(images).absolute()
    volumes = [Volume(path)] if is_zarr(path) else list_volumes(path, suffix, every_series=True)
    opened = [_open(one, axis, nan_background) for one in volumes]
    counts, sizes = [one.shape[0] for one in opened], {one.shape[1:] for one in opened}
    if len(sizes) > 1:
        told = " and ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        raise InvalidSetting(f"A batch has slices of one size, and these are {told} px.")
    chosen = list(parse_slices(slices, sum(counts)))
    if chosen != list(range(chosen[0], chosen[-1] + 1)):
        raise InvalidSetting(f"A batch takes one range of slices, as 0:1000, not {slices!r}.")
    shape, given = (len(chosen), *sizes.pop()), parse_spacing(spacing_mm)
    source = Source(tuple(volumes), tuple(counts), shape, chosen[0], given, axis, nan_background)
    return source, opened


@dataclass(frozen=True)
class Work:
    """All that a worker needs to know; no pixels."""

    source: Source
    folder: Path
    kind: str
    chunk: int
    settings: PipelineSettings
    on_warning: str
    versions: Mapping[str, str]

    def do(self, number: int) -> int:
        """Mask one chunk: first the masks, then the rows, which say that it is done."""
        here, there = ({**one} for one in (masking.versions(), self.versions))
        if here != there:
            raise BatchStopped(
                f"A worker has the versions {here}, this machine {there}; install the same on both."
            )
        start, stop = number * self.chunk, min((number + 1) * self.chunk, self.source.shape[0])
        masks = np.zeros((stop - start, *self.source.shape[1:]), dtype=np.uint8)
        rows = []
        for index, (name, at, image, spacing) in enumerate(self.source.slices(start, stop)):
            row = {"source": name, "slice": at, "group": name}
            try:
                if isinstance(image, SkullnbError):
                    raise image
                settings = self.settings.at(spacing)
                found = measure_slice(image, settings, spacing, slice_number=at)
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

    def write(self, start: int, masks: Mask) -> None:
        """Write masks from slice `start` on."""
        if self.kind == ".zarr":
            _zarr().open_array(self.masks, mode="r+")[start : start + len(masks)] = masks
            return
        rows = np.packbits(masks, axis=-1) if self.kind == PACKED else masks
        # Not through a memory map: on a full disk that ends in a signal, not in an error.
        with self.masks.open("r+b") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            file.seek(start * rows[0].size, os.SEEK_CUR)
            file.write(rows.data)

    def create(self) -> None:
        """Make the file of masks, as long as it will be, or the array."""
        n, height, width = self.source.shape
        if self.kind == ".zarr":
            _zarr().create_array(
                self.masks,
                shape=self.source.shape,
                chunks=(self.chunk, height, width),
                dtype="uint8",
                fill_value=255,
            )
            return
        stored = (n, height, -(-width // 8) if self.kind == PACKED else width)
        needed, free = int(np.prod(stored)), shutil.disk_usage(self.folder).free
        if needed > free:
            raise BatchStopped(
                f"The masks take {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free; make "
                f"room, or write {PACKED} (an eighth) or .zarr (compressed)."
            )
        np.lib.format.open_memmap(self.masks, mode="w+", dtype=np.uint8, shape=stored)

    def rows(self) -> pd.DataFrame:
        """Join the rows of all chunks to the table, with the signs that neighbours give."""
        import pandas as pd

        parts = sorted((self.folder / "rows").glob("*.json"))
        rows = [row for part in parts for row in json.loads(part.read_text())]
        for index, row in enumerate(rows):
            row["index"] = index
        failed = [row | {"warnings": ()} for row in rows if row["status"] == "failed"]
        table = with_neighbours([row for row in rows if row["status"] != "failed"])
        if failed:
            table = pd.concat([table, pd.DataFrame(failed)]).sort_values("index").convert_dtypes()
        first = ["index", "source", "slice", "status"]
        others = [name for name in table if name not in (*first, "group")]
        return table[first + others].reset_index(drop=True)


def mask_batch(
    images: str | Path,
    output: str | Path,
    settings: PipelineSettings | None = None,
    *,
    slices: str = "",
    axis: str = "",
    spacing_mm: str = "",
    nan_background: bool = False,
    suffix: str = "",
    on_warning: str = "keep",
    workers: int | None = None,
    scheduler: str = "",
    chunk: int | None = None,
    parquet: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Batch:
    """Make the masks of any number of slices; go on where an earlier run was stopped.

    `images` has slices of one size, or is a zarr array; `output` ends in one of `KINDS`; `slices`
    is one range; the words up to `suffix` are those of `skullnb.stack.read_stack`. `workers` are
    threads, or those of the Dask cluster at the address `scheduler`, which share this disk. `chunk`
    slices (about 16 MB of masks) are done and marked together. `progress(done, n_slices)` is called
    first with what was done before. Raises SkullnbError where it can't begin, and BatchStopped if
    it was begun otherwise, another run is at it, the images change, or the disk is full.
    """
    started, path = time.monotonic(), expand(output).absolute()
    settings = settings or PipelineSettings()
    kind = next((one for one in KINDS if path.name.lower().endswith(one)), "")
    if not kind:
        raise InvalidSetting(f"A batch writes {', '.join(KINDS)}, not {path.name}.")
    if on_warning not in masking.ON_WARNING or min(workers or 1, chunk or 1) < 1:
        raise InvalidSetting(
            f"on_warning is {' or '.join(masking.ON_WARNING)}, workers and chunk at least 1; not "
            f"{on_warning!r}, {workers} and {chunk}."
        )
    source, opened = open_source(images, slices, axis, spacing_mm, suffix, nan_background)
    spacings = {source.spacing_mm or one.spacing_mm for one in opened}
    used = [settings.at(one) for one in spacings]  # refused now, not slice by slice
    table, sidecar = masking.beside(path)
    table = table.with_suffix(".parquet") if parquet else table
    _refuse_among(path, images)
    folder, n = path.with_name(f"{path.name}.partial"), source.shape[0]
    given = {"spacing": spacing_mm, "axis": axis, "on warning": on_warning, "nan": nan_background}
    about = {
        "input": source.fingerprint(),
        "slices": [source.first, source.first + n],
        "shape": list(source.shape),
        "settings": {
            name: getattr(one, "item", lambda one=one: one)()
            for name, one in asdict(settings).items()
        },
        **given,
        **masking.versions(),
    }
    for one in (path, table, sidecar):
        is_ours = kind == ".zarr" and one == path and (one / "zarr.json").is_file()
        if not is_ours:
            refuse_place(one, source.files(), overwrite=True)
    with _only_run(folder, path), _said(path):
        begun = _begun(folder, about, overwrite)
        if begun is None:
            if before := _finished(path, table, sidecar, about, overwrite, started):
                return before
            size = min(chunk or max(1, _CHUNK_BYTES // int(np.prod(source.shape[1:]))), n)
            begun = {**about, "chunk": size}
        work = Work(source, folder, kind, begun["chunk"], settings, on_warning, masking.versions())
        if not (folder / "about.json").exists():
            work.create()
            masking.write_json(begun, folder / "about.json")
        done = {int(part.stem) for part in folder.glob("rows/*.json")}
        left = [number for number in range(-(-n // work.chunk)) if number not in done]
        n_resumed = sum(min(work.chunk, n - number * work.chunk) for number in done)
        if not work.masks.exists() and (left or not path.exists()):
            raise BatchStopped(f"{work.masks} is gone; allow overwriting to begin anew.")
        progress(n_resumed, n)
        _work_through(work, left, n_resumed, workers, scheduler, progress)
        if source.fingerprint() != about["input"]:
            raise _CHANGED
        rows = work.rows()
        remarks = [
            masking.remarks_on(settings, source.spacing_mm or one.spacing_mm, one.remarks)
            for one in opened
        ]
        told = tuple(dict.fromkeys(remark for some in remarks for remark in some))
        found = masking.describe(rows, used[0], on_warning, told) | {"Batch": begun}
        if work.masks.exists():
            _publish(work, rows, path, sidecar)
        with writing(table) as temporary:
            masking.write_table(rows, temporary)
        masking.write_json(found, sidecar)
        (folder / "about.json").unlink()  # what is left of the folder says nothing from now on
        shutil.rmtree(folder)
    _pixels_of.cache_clear()
    seconds = time.monotonic() - started
    return Batch(path, table, found["Counts"], found["LooksWrong"], told, n_resumed, seconds)


def is_for_batch(images: str | Path, output: str | Path) -> bool:
    """Say whether masks are too many for memory, or were begun as a batch, or only that writes them.

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


def _publish(work: Work, rows: pd.DataFrame, path: Path, sidecar: Path) -> None:
    """Give all masks their name; what was there before goes in the same moment."""
    if work.on_warning == "empty":  # some only look wrong beside their neighbours
        nothing = np.zeros((1, *work.source.shape[1:]), dtype=np.uint8)
        for index in rows.loc[rows["status"] == "warned", "index"]:
            work.write(int(index), nothing)
    if work.kind != ".zarr":
        with work.masks.open("rb") as file:
            os.fsync(file.fileno())
    elif path.exists():  # no folder can replace another in one step
        shutil.rmtree(work.folder / "replaced", ignore_errors=True)
        path.replace(work.folder / "replaced")
    sidecar.unlink(missing_ok=True)  # no old description beside new masks
    work.masks.replace(path)


@contextmanager
def _only_run(folder: Path, path: Path) -> Iterator[None]:
    """Hold the folder: no other run may write in it. It goes when no chunk in it is done."""
    import filelock

    (folder / "rows").mkdir(parents=True, exist_ok=True)
    lock: Any = filelock.FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BatchStopped(f"Another run is writing {path.name}; wait for it.") from error
    except OSError:  # as on some network disks
        lock = None
        warnings.warn(
            f"The disk of {path.name} keeps no locks; see to it that only one run writes it.",
            stacklevel=2,
        )
    try:
        yield
    finally:
        if folder.exists() and not any(folder.glob("rows/*.json")):
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            lock.release()


def _begun(folder: Path, about: Mapping[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """Return how the batch was begun, None where it was not; refuse to go on otherwise."""
    try:
        before = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        differs = difference(before, about)
        if not differs:
            return {**before, "chunk": int(before["chunk"])}
    except FileNotFoundError:
        differs = ""
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        differs = "its description is damaged"
    if differs and not overwrite:
        raise BatchStopped(
            f"The batch in {folder.name} was begun differently: {differs}; do the same again to go "
            "on, or allow overwriting (--overwrite) to begin anew."
        )
    for part in (folder / "about.json", *folder.glob("rows/*"), *folder.glob("masks*")):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
    return None


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs between two descriptions of a batch; "" when nothing does.

    Examples
    --------
    >>> difference({"slices": [0, 9], "kernel width": 26}, {"slices": [0, 9], "kernel width": 30})
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


def _finished(
    path: Path, table: Path, sidecar: Path, about: Mapping[str, Any], again: bool, started: float
) -> Batch | None:
    """Return what is there already when it is what is asked for; refuse it when it is not."""
    there = [one for one in (path, table, sidecar) if os.path.lexists(one)]
    if again or not there:
        return None
    try:
        found = json.loads(sidecar.read_text(encoding="utf-8"))
        differs = difference(found["Batch"], about) or (
            "a part is missing" if len(there) < 3 else ""
        )
        n, seconds = found["Counts"]["slices"], time.monotonic() - started
        done = Batch(
            path, table, found["Counts"], found["LooksWrong"], tuple(found["Remarks"]), n, seconds
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        differs = "it is not described"
    if differs:
        raise UnreadableFile(
            f"{there[0]} exists already ({differs}); choose another name or allow overwriting "
            "(--overwrite)."
        )
    return done


def _refuse_among(path: Path, images: str | Path) -> None:
    """Refuse an output that would be taken for one of the images the next time."""
    whole = expand(images).absolute()
    if whole.is_dir():
        among = whole.resolve() in (
            path.parent.resolve(),
            *path.parent.resolve().parents[: 99 * is_zarr(whole)],
        )
    else:
        among = not whole.exists() and path.match(str(whole))  # a pattern
    if among or path.resolve() == whole.resolve():
        raise UnreadableFile(
            f"{path.name} would lie among the images, which are read as a whole; write it to "
            "another folder."
        )


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Turn what stops a batch into a sentence that ends with how to go on."""
    go_on = f"so {path.name} is not finished; see to it and run the same command again to go on"
    try:
        yield
    except Exception as error:
        cause = error.__cause__ if isinstance(error, SkullnbError) else error
        if type(error).__name__ in _KILLED:
            told = "workers of the cluster were killed again and again, perhaps for want of memory"
        elif not isinstance(cause, OSError) or (
            isinstance(error, SkullnbError) and cause.errno not in _FULL
        ):
            raise
        else:
            told = "the disk is full" if cause.errno in _FULL else f"{cause.strerror or cause}"
        raise BatchStopped(f"{told[0].upper()}{told[1:]}, {go_on}.") from error


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
                progress(n_done, work.source.shape[0])
        finally:
            for one in waiting:
                one.cancel()


@contextmanager
def _crew(scheduler: str, workers: int | None) -> Iterator[tuple[Executor, int]]:
    """Have workers ready: threads of this process, or those of a Dask cluster."""
    if not scheduler:
        size = workers or masking.n_processors()
        masking.load_pipeline()  # compiled once, not by every worker
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
