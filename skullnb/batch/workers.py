"""Who does the work: threads, processes, or the workers of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any

from skullnb.batch.journal import Rows
from skullnb.batch.outputs import ZarrOutput
from skullnb.batch.sources import FileSource
from skullnb.batch.work import Work, mask_chunks
from skullnb.errors import BatchStopped, InvalidSetting
from skullnb.processes import end_with_pool

# On a cluster a task costs some milliseconds to hand out; fewer slices than these don't repay it.
LEAST_SLICES_A_TASK = 20
# Enough tasks wait at every worker that none is idle while finished chunks are being marked.
_TASKS_A_WORKER = 3
_PATIENCE_S = 60.0
_ANSWERS_WITHIN = "10s"
_SAFE_PATH = "PYTHONSAFEPATH"

_work_here: Work


@dataclass(frozen=True)
class Crew:
    """Workers that are ready.

    Attributes
    ----------
    submit : callable
        Takes chunk numbers, returns the future of their rows.
    size : int
        Workers that work at the same time.
    chunks_a_task : int
    sync : bool
        Whether finished chunks have yet to be brought safely to the disk by this machine.
    check : callable
        Raises when there is nobody left to wait for.
    """

    submit: Callable[[tuple[int, ...]], Future[dict[int, Rows]]]
    size: int
    chunks_a_task: int = 1
    sync: bool = True
    check: Callable[[], object] = lambda: None


@contextmanager
def hire(
    work: Work, workers: int, *, processes: bool = False, scheduler: str = ""
) -> Iterator[Crew]:
    """Have workers ready for a batch, and let them go at its end.

    Parameters
    ----------
    work : Work
    workers : int
        Threads or processes of this machine; a cluster has its own number.
    processes : bool
        Processes instead of threads.
    scheduler : str
        Address of a Dask scheduler, such as `tcp://node1:8786`; empty for this machine.

    Yields
    ------
    Crew

    Raises
    ------
    InvalidSetting
        If a cluster can't do this work, or dask is not installed.
    BatchStopped
        If the cluster doesn't answer.
    """
    if scheduler:
        with _cluster(work, scheduler) as crew:
            yield crew
        return
    with _only_installed_modules():
        pool: Executor
        if processes:
            pool = ProcessPoolExecutor(
                workers,
                # Forking a process that has threads can leave a lock taken for ever.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin_process,
                initargs=(work,),
            )
            submit = lambda chunks: pool.submit(_mask_in_process, chunks)  # noqa: E731
        else:
            pool = ThreadPoolExecutor(workers, thread_name_prefix="skullnb")
            submit = lambda chunks: pool.submit(mask_chunks, work, chunks)  # noqa: E731
        try:
            yield Crew(submit, workers)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def work_through(crew: Crew, chunks: Iterable[int]) -> Iterator[dict[int, Rows]]:
    """Have chunks masked, in whatever order they come.

    Parameters
    ----------
    crew : Crew
    chunks : iterable of int
        Numbers of the chunks to do.

    Yields
    ------
    dict of int to list
        All chunks finished since the last time, with their rows.
    """
    left = iter(chunks)
    waiting: set[Future[dict[int, Rows]]] = set()
    while True:
        while len(waiting) < crew.size * _TASKS_A_WORKER:
            task = tuple(islice(left, crew.chunks_a_task))
            if not task:
                break
            waiting.add(crew.submit(task))
        if not waiting:
            return
        finished, waiting = wait(waiting, _PATIENCE_S, FIRST_COMPLETED)
        if not finished:
            crew.check()
        rows: dict[int, Rows] = {}
        for future in finished:
            rows.update(future.result())
        if rows:
            yield rows


@contextmanager
def _only_installed_modules() -> Iterator[None]:
    """Let processes that start look for no modules in the current folder: data may lie there."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        del os.environ[_SAFE_PATH]
        if before is not None:
            os.environ[_SAFE_PATH] = before


@contextmanager
def _cluster(work: Work, address: str) -> Iterator[Crew]:
    if not isinstance(work.output, ZarrOutput):
        raise InvalidSetting("A cluster writes zarr; name an output such as masks.zarr.")
    if isinstance(work.source, FileSource) and len(work.source.inputs) > 1:
        raise InvalidSetting(
            "A cluster reads one zarr array or one file that all its machines see; bring the "
            "slices together first."
        )
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise InvalidSetting(
            "A cluster needs dask, which is not installed; run: pip install 'skullnb[cluster]'"
        ) from error
    try:
        client = distributed.Client(address, timeout=_ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BatchStopped(
            f"No Dask scheduler answers at {address}; start one with `dask scheduler`, or check "
            "the address."
        ) from error
    with client:

        def n_threads() -> int:
            found = sum(client.nthreads().values())
            if not found:
                raise BatchStopped(
                    f"The Dask cluster at {address} has no workers; start some with "
                    f"`dask worker {address}`, then run the same command again to go on."
                )
            return int(found)

        # The same work is never sent twice, but a dead worker's is done again by another.
        pool = client.get_executor(pure=False)
        task = -(-LEAST_SLICES_A_TASK // work.chunk)
        try:
            yield Crew(
                lambda chunks: pool.submit(mask_chunks, work, chunks, sync=True),
                n_threads(),
                task,
                sync=False,
                check=n_threads,
            )
        finally:
            pool.shutdown(wait=False)


def _begin_process(work: Work) -> None:
    """Keep the work in this process, so that it does not travel with every chunk."""
    global _work_here
    _work_here = work
    # Ctrl-C reaches every process of a terminal; the one that began the batch decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_pool()


def _mask_in_process(chunks: tuple[int, ...]) -> dict[int, Rows]:
    return mask_chunks(_work_here, chunks)
