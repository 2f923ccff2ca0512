"""Run chapters with papermill, each in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

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
from skullnb.processes import end_with_parent
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
                    _stop([running.pop(name)])
                    yield name, _last_words(work, name) if process.returncode else None
            time.sleep(0.05)
    finally:
        _stop(running.values())


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


def _stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    """End chapters and kernels that still run, and wait for them: nothing is written after that."""
    for process in processes:
        if process.stdin:
            process.stdin.close()
    for process in processes:
        try:
            process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_words(work: Path, name: str) -> str:
    log = (work / "log" / f"{name}.txt").read_text(encoding="utf-8", errors="replace")
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", log).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "the chapter ended without a word"
