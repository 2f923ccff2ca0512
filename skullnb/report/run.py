"""Run chapters with papermill, each in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from skullnb.processes import end_after

_WORKER_ENVIRONMENT = {
    # One thread each: the chapters already share the processors.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    # The kernel beside this Python, not one that another environment registered for the user.
    "JUPYTER_PREFER_ENV_PATH": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONUTF8": "1",
}

_PATIENCE_S = 20.0

_PAPERMILL = """
import tempfile
from skullnb.report.run import end_with_parent
end_with_parent()
from papermill.cli import papermill
with tempfile.TemporaryDirectory(prefix="skullnb-", ignore_cleanup_errors=True) as folder:
    tempfile.tempdir = folder  # for what connects it to its kernel, or that stays when it is ended
    papermill()
"""


def run_chapters(
    notebooks: Iterable[Path], parameters: Mapping[str, Mapping[str, Any]], work: Path, workers: int
) -> Generator[tuple[str, str | None]]:
    """Run the chapters; yield each one's name as it ends.

    Processes and not threads: papermill changes the working directory, which threads share, and a
    chapter that crashes must not take the report with it.

    Parameters
    ----------
    notebooks : iterable of Path
        The chapters' sources; they are not touched.
    parameters : mapping
        For each chapter's name, the parameters to inject.
    work : Path
        Gets `notebooks/` (executed), `results/` (written by the chapters) and `log/`.
    workers : int
        How many run at the same time.

    Yields
    ------
    name : str
    error : str or None
        The chapter's last words if it failed. Closing the iterator stops what still runs.
    """
    waiting = list(notebooks)
    running: dict[str, subprocess.Popen[bytes]] = {}
    for folder in ("notebooks", "results", "log"):
        (work / folder).mkdir()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                path = waiting.pop(0)
                running[path.stem] = _start_chapter(path, parameters[path.stem], work)
            for name, process in list(running.items()):
                if process.poll() is not None:
                    _stop(running.pop(name))
                    yield name, _last_words(work, name) if process.returncode else None
            time.sleep(0.05)
    finally:
        for process in running.values():
            _tell_to_end(process)
        for process in running.values():
            _stop(process)


def end_with_parent() -> None:
    """End this process as soon as the one that started it, and holds its input, is gone.

    A report that is killed has no moment to stop its chapters; the system closes what they read
    from. They must not write on where the next report has tidied up.

    Examples
    --------
    >>> code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    >>> code += "from skullnb.report.run import end_with_parent; end_with_parent(); "
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


def _start_chapter(
    path: Path, parameters: Mapping[str, Any], work: Path
) -> subprocess.Popen[bytes]:
    import yaml  # comes with the extra

    # The source is copied first, so that there is a page even if papermill writes nothing.
    shutil.copyfile(path, work / "notebooks" / path.name)
    given = work / "log" / f"{path.stem}.yaml"
    # Everything but letters and signs of ASCII as an escape: YAML refuses some characters.
    everything = {**parameters, "output_dir": str(work)}
    given.write_text(yaml.safe_dump(everything), encoding="ascii")
    # Relative names, because papermill fills in braces that it finds in a path.
    name = f"notebooks/{path.name}"
    command = ["-c", _PAPERMILL, name, name, "--parameters_file", f"log/{given.name}"]
    command += ["--cwd", "notebooks", "--kernel", "python3", "--no-progress-bar"]
    with (work / "log" / f"{path.stem}.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=work,
            env={**os.environ, **_WORKER_ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches this process alone, which stops them
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a chapter and its kernel, if they still run, and wait: nothing is written after that."""
    _tell_to_end(process)
    try:
        process.wait(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tell_to_end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()


def _last_words(work: Path, name: str) -> str:
    log = (work / "log" / f"{name}.txt").read_text(encoding="utf-8", errors="replace")
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", log).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "the chapter ended without a word"
