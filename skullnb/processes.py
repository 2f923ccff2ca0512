"""Processes that end with the one that began them, even when that one was killed."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from threading import Thread, main_thread

_PATIENCE_S = 60.0


def end_after(gone: Callable[[], object], number: int = signal.SIGTERM) -> None:
    """End this process by a signal as soon as a function returns, whatever else it is doing.

    Parameters
    ----------
    gone : callable
        Returns when the process that began this one is gone; waits in a thread of its own.
    number : int
        The signal; one that the process may answer by tidying up.
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


def end_with_pool() -> None:
    """End this process, a worker of a pool, with the one that began the pool.

    Workers wait for work on a pipe that they hold open themselves, and would wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent may have been told to ignore it
        end_after(partial(multiprocessing.connection.wait, [parent.sentinel]))
