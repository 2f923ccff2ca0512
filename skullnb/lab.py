"""Open the explorer in JupyterLab: a copy of its notebook, set to the given data."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from skullnb.chapter import open_data
from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.pipeline import PipelineSettings
from skullnb.processes import end_after
from skullnb.report.build import find_assets, full_path, only_chosen
from skullnb.results import write_text

NOTEBOOK = "14-explore.ipynb"

_COMMAND = "SKULLNB_LAB_COMMAND"  # tells JupyterLab which process began it
FOLDER = "skullnb-lab"
_ALLOWS_ROOT = re.compile(r"--(ServerApp\.)?allow[-_]root")
_OPENS_IT_TO_OTHERS = re.compile(r"--(\w+\.)?(ip|token)\b")


def launch_lab(
    images: str | Path = "",
    reference: str | Path = "",
    *,
    groups: str | Path = "",
    spacing_mm: str = "",
    slices: str = "",
    axis: str = "axial",
    kernel_width: int = 26,
    folder: str | Path = FOLDER,
    port: int = 0,
    open_browser: bool = True,
    arguments: Sequence[str] = (),
) -> int:
    """Open the explorer in JupyterLab, and wait until JupyterLab ends.

    Parameters
    ----------
    images, reference, groups, spacing_mm, slices, axis : str
        As in `skullnb.stack.read_stack`; images "" = the built-in synthetic phantom.
    kernel_width : int
        Where its control starts, in px.
    folder : path
        Working folder, made when it is not there. The notebooks in it are copies, and an earlier
        copy is never overwritten.
    port : int
        0 = JupyterLab's own choice: 8888, or the next that is free.
    open_browser : bool
        JupyterLab prints its address, with the token, in any case.
    arguments : sequence of str
        Further ones for JupyterLab, such as "--allow-root".

    Returns
    -------
    int
        JupyterLab's exit code.

    Raises
    ------
    SkullnbError
        If JupyterLab is not installed or would refuse to run as root, an argument names another
        address or token, or the data cannot be read; nothing is started then.
    """
    missing = [name for name in ("jupyterlab", "ipywidgets") if not find_spec(name)]
    if missing:
        raise SkullnbError(
            f"The explorer needs {' and '.join(missing)}; install with "
            "`pip install 'skullnb[lab]'`, or run `make lab` in a clone."
        )
    for one in arguments:
        if _OPENS_IT_TO_OTHERS.match(one):
            raise SkullnbError(
                f"The explorer is for this computer only and makes a token of its own; leave out "
                f"{one!r}, or start JupyterLab yourself in the folder {Path(folder).name!r}."
            )
    data = {
        "images": full_path(images),
        "reference": full_path(reference),
        "groups": full_path(groups),
        "spacing_mm": spacing_mm,
        "slices": slices,
        "axis": axis,
    }
    PipelineSettings(kernel_width=kernel_width)
    if any(value for name, value in data.items() if name != "axis"):
        open_data(**data)
    if _is_root() and not any(_ALLOWS_ROOT.match(one) for one in arguments):
        raise SkullnbError(
            "JupyterLab does not start as root unless it is allowed to; run "
            "`skullnb lab -- --allow-root`, or `make lab LAB='-- --allow-root'` in a clone."
        )
    notebook = copy_notebook(Path(folder), {**data, "kernel_width": kernel_width})
    return _run(lab_command(notebook, port, open_browser, arguments))


def copy_notebook(folder: Path, parameters: Mapping[str, Any]) -> Path:
    """Copy the explorer's notebook into a folder, with parameters set and without outputs.

    The other chapters are copied as they are, because it links to them.

    Parameters
    ----------
    folder : Path
        Made when it is not there.
    parameters : mapping
        Values for the notebook's parameters; those that are its own defaults anyway are not
        written.

    Returns
    -------
    Path
        The copy: an earlier one whose cells say the same, or else under the first name that is
        free.

    Raises
    ------
    UnreadableFile
        If the folder cannot be written to.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     first = copy_notebook(Path(folder), {"kernel_width": 30})
    ...     second = copy_notebook(Path(folder), {"kernel_width": 30})
    ...     other = copy_notebook(Path(folder), {"kernel_width": 24})
    >>> first.name, second.name, other.name
    ('14-explore.ipynb', '14-explore.ipynb', '14-explore-2.ipynb')
    """
    chapters = find_assets("notebooks")
    source = json.loads((chapters / NOTEBOOK).read_text(encoding="utf-8"))
    cells = []
    for cell in source["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        cells.append(cell)
        if "parameters" in cell["metadata"].get("tags", []):
            cells += _chosen_cell(parameters)
    text = json.dumps({**source, "cells": cells}, indent=1, ensure_ascii=False) + "\n"
    try:
        for chapter in chapters.glob("*.ipynb"):
            if chapter.name != NOTEBOOK and not (folder / chapter.name).exists():
                write_text(chapter.read_text(encoding="utf-8"), folder / chapter.name)
        return _write_new(folder, text)
    except OSError as error:
        raise UnreadableFile(
            f"Cannot write to the folder {folder.name!r}: {error.strerror}; choose another."
        ) from error


def lab_command(
    notebook: Path, port: int = 0, open_browser: bool = True, arguments: Sequence[str] = ()
) -> list[str]:
    """Write the command that starts JupyterLab on a notebook, for this machine only.

    Parameters
    ----------
    notebook : Path
    port : int
        0 = JupyterLab's own choice.
    open_browser : bool
    arguments : sequence of str
        Further ones for JupyterLab.

    Returns
    -------
    list of str

    Examples
    --------
    >>> lab_command(Path("work/14-explore.ipynb"), open_browser=False)[1:4]
    ['-P', '-m', 'skullnb.lab']
    """
    from skullnb.explore.sources import UPLOAD_BYTES

    notebook = notebook.absolute()
    # Without modules of the current folder: a folder of data may hold any.
    command = [sys.executable, "-P", "-m", "skullnb.lab"]
    command += [f"--ServerApp.root_dir={notebook.parent}"]
    # An upload is one message with a file and some words; a longer one would cut the connection.
    longest = {"websocket_max_message_size": UPLOAD_BYTES + 1_000_000}
    command += [f"--ServerApp.tornado_settings={longest}"]
    if port:
        command += [f"--port={port}"]
    # The address that JupyterLab prints and opens is then the notebook itself.
    command += [f"--LabApp.default_url=/lab/tree/{notebook.name}"]
    if not open_browser:
        command += ["--no-browser"]
    return [*command, *arguments, str(notebook)]


def serve(arguments: Sequence[str]) -> None:
    """Run JupyterLab in this process, on this machine only and with a token of its own.

    What the command line says goes before settings files and JUPYTER_TOKEN, which may name no
    token or every address. It is said here, because anybody can read a process's command line.

    Parameters
    ----------
    arguments : sequence of str
        From `lab_command`; JupyterLab stops at a second address or token.
    """
    from jupyterlab.labapp import LabApp

    own = ["--ip=127.0.0.1", f"--IdentityProvider.token={secrets.token_hex(24)}"]
    server = LabApp.initialize_server(argv=[*arguments, *own])
    server.identity_provider.token_generated = True  # or the address is printed without it
    _end_in_order()
    server.start()


def _end_in_order() -> None:
    """End with a terminal that is closed, and with the command that was killed, as by SIGTERM.

    JupyterLab then ends its kernels, and leaves no token in a file.
    """
    psutil: Any = import_module("psutil")  # comes with the extra
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    command = int(os.environ.pop(_COMMAND, "0"))  # asking for the parent now may be too late

    def gone() -> None:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(command).wait()

    if command:
        end_after(gone)


def _chosen_cell(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    chosen = [f"{name} = {value!r}" for name, value in only_chosen(parameters).items()]
    if not chosen:
        return []
    return [
        {
            "cell_type": "code",
            "id": "chosen-parameters",
            "metadata": {"tags": ["injected-parameters"]},
            "execution_count": None,
            "outputs": [],
            "source": "\n".join(["# Chosen on the command line", *chosen]),
        }
    ]


def _write_new(folder: Path, text: str) -> Path:
    stem, ending = NOTEBOOK.split(".")
    number = 1
    while True:
        path = folder / (NOTEBOOK if number == 1 else f"{stem}-{number}.{ending}")
        if not path.exists():
            return write_text(text, path)
        with suppress(OSError, ValueError, KeyError, TypeError):  # whatever has been made of it
            if _sources(path.read_text(encoding="utf-8")) == _sources(text):
                return path
        number += 1


def _sources(notebook: str) -> list[str]:
    """What stands in the cells; running and saving a notebook changes the rest."""
    return ["".join(cell["source"]) for cell in json.loads(notebook)["cells"]]


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _run(command: list[str]) -> int:
    # The kernel beside this Python, not one that another environment registered for the user.
    environment = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1", _COMMAND: str(os.getpid())}
    # Ctrl-C reaches JupyterLab too, which asks whether it is meant; it decides. A handler that does
    # nothing, because a program that is started inherits "ignore", and not a handler.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        server = subprocess.Popen(command, env=environment)
        try:
            return server.wait()
        finally:
            server.terminate()  # where this command is told to stop
            server.wait()
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    serve(sys.argv[1:])
