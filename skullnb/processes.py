"""Processes that end with the one that began them, even when that one was killed."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from threading import Thread, main_thread
from typing import Any

_PATIENCE_S = 60.0


def end_after(gone: Callable[[], object], number: int = signal.SIGTERM) -> None:
    """End this process by a signal as soon as a function returns, whatever else it is doing.

    Parameters
    ----------
    gone : callable
        Returns when the process that began this one is gone; waits in a thread of its own.
    number : int
        The signal; one that the process may answer by tidying up.

    Examples
    --------
    >>> import subprocess
    >>> code = "import time; from skullnb.processes import end_after; end_after(lambda: 0); "
    >>> subprocess.run([sys.executable, "-c", code + "time.sleep(60)"]).returncode != 0
    True
    """

    def wait() -> None:
        gone()
        if sys.platform == "win32":
            os.kill(os.getpid(), number)
        else:
            signal.pthread_kill(main_thread().ident or 0, number)  # wakes it from what it waits for
        time.sleep(_PATIENCE_S)
        os._exit(1)  # whoever ignores a signal does not go on for ever

    Thread(target=wait, daemon=True).start()


def end_with_parent() -> None:
    """End this process as soon as the one that started it, and holds its input, is gone.

    A report that is killed has no moment to stop its chapters; the system closes what they read
    from. They must not write on where the next report has tidied up.

    Examples
    --------
    >>> import subprocess
    >>> code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    >>> code += "from skullnb.processes import end_with_parent; end_with_parent(); "
    >>> lasting = [sys.executable, "-c", code + "time.sleep(60)"]
    >>> subprocess.run(lasting, input=b"", stderr=subprocess.DEVNULL).returncode != 0
    True
    """
    # As by Ctrl-C, after which papermill tidies up; what a script runs beside it ignores that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_after(partial(_told_to_end, import_module("psutil")), signal.SIGINT)


def _told_to_end(psutil: Any) -> None:
    os.read(0, 1)  # and not sys.stdin, whose lock would be in the way at the regular end
    for kernel in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            kernel.kill()  # or papermill would wait some seconds for its cell


def end_with_pool() -> None:
    """End this process, a worker of a pool, with the one that began the pool.

    Workers wait for work on a pipe that they hold open themselves, and would wait for ever.

    Examples
    --------
    >>> from concurrent.futures import ProcessPoolExecutor
    >>> spawn = multiprocessing.get_context("spawn")
    >>> with ProcessPoolExecutor(1, spawn, initializer=end_with_pool) as pool:
    ...     pool.submit(abs, -3).result()
    3
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent may have been told to ignore it
        end_after(partial(multiprocessing.connection.wait, [parent.sentinel]))
