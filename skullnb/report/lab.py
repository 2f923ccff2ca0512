"""The explorer in JupyterLab: a copy of its notebook, set to the given data, and already run."""

from __future__ import annotations

import glob
import os
import re
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.report.build import find_assets
from skullnb.report.chapter import PARAMETERS, Chapter
from skullnb.stack import writing
from skullnb.stack.checks import needed

NOTEBOOK = "14-explore.ipynb"
UPLOAD_BYTES = 64_000_000
"""The most that an upload in the explorer may hold."""

_OPENS_IT_TO_OTHERS = re.compile(r"--(\w+\.)?(ip|token)\b")
_ALLOWS_ROOT = re.compile(r"--(ServerApp\.)?allow[-_]root")


def launch_lab(
    images: str | Path = "",
    *,
    folder: str | Path = "skullnb-lab",
    port: int = 0,
    open_browser: bool = True,
    arguments: Sequence[str] = (),
    **parameters: Any,
) -> None:
    """Open the explorer in JupyterLab, on this machine only, and wait until JupyterLab ends.

    `images` and `parameters` are those of every notebook; the notebooks in `folder` are copies, and
    an earlier copy is never overwritten. `port` 0 is JupyterLab's own choice. It prints its
    address, with a token, whether or not a browser opens. `arguments` are handed to JupyterLab.
    """
    for module in ("jupyterlab", "ipywidgets"):
        needed(module, "The explorer", "lab")
    for one in arguments:
        if _OPENS_IT_TO_OTHERS.match(one):
            raise SkullnbError(
                f"The explorer is for this computer only and makes a token of its own; leave out "
                f"{one!r}, or start JupyterLab yourself in the folder {Path(folder).name!r}."
            )
    if _is_root() and not any(_ALLOWS_ROOT.match(one) for one in arguments):
        raise SkullnbError(
            "JupyterLab does not start as root unless it is allowed to; run "
            "`skullnb lab -- --allow-root`, or `make lab LAB='-- --allow-root'` in a clone."
        )
    named = {**parameters, "images": images}
    full = {name: _full(str(named.get(name, ""))) for name in ("images", "reference", "groups")}
    chosen = Chapter(NOTEBOOK, {**parameters, **full}).parameters
    try:
        notebook = copy_notebook(Path(folder).absolute(), chosen)
    except UnreadableFile:
        raise
    except OSError as error:
        raise UnreadableFile(
            f"Cannot write to the folder {Path(folder).name!r}: {error.strerror}; choose another."
        ) from error
    _serve(notebook, [f"--port={port}"] * bool(port) + list(arguments), open_browser)


def copy_notebook(folder: Path, parameters: Mapping[str, Any]) -> Path:
    """Copy the explorer's notebook into a folder, with parameters set and without outputs.

    The other chapters are copied as they are, because it links to them. An earlier copy whose
    cells say the same is taken again; any other stays, and the new one gets another name.
    """
    import nbformat

    chapters = find_assets("notebooks")
    notebook = nbformat.read(chapters / NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    changed = [f"{name} = {one!r}" for name, one in parameters.items() if one != PARAMETERS[name]]
    if changed:
        tagged = [cell.metadata.get("tags", []) for cell in notebook.cells]
        place = next(n for n, tags in enumerate(tagged) if "parameters" in tags)
        own = {"metadata": {"tags": ["injected-parameters"]}}
        cell = nbformat.v4.new_code_cell("\n".join(["# Parameters", *changed]), **own)
        notebook.cells.insert(place + 1, cell)
    folder.mkdir(parents=True, exist_ok=True)
    for chapter in chapters.glob("*.ipynb"):
        if chapter.name != NOTEBOOK and not (folder / chapter.name).exists():
            _write(folder / chapter.name, chapter.read_text(encoding="utf-8"))
    number, path = 1, folder / NOTEBOOK
    while path.exists():
        with suppress(Exception):  # whatever has been made of it
            earlier = nbformat.read(path, as_version=4)
            if [cell.source for cell in earlier.cells] == [cell.source for cell in notebook.cells]:
                return path
        number += 1
        path = folder / NOTEBOOK.replace(".", f"-{number}.")
    _write(path, nbformat.writes(notebook))
    return path


def _write(path: Path, text: str) -> None:
    with writing(path) as passing:
        passing.write_text(text, encoding="utf-8")


def _full(path: str) -> str:
    """Make a path or pattern absolute, because the notebook lies in another folder."""
    name = path.partition("#")[0]
    if not path or Path(name).is_absolute():
        return path
    if Path(name).exists():
        return str(Path(path).absolute())
    here = glob.escape(str(Path.cwd()))
    return str(Path(here) / path) if glob.glob(path) else path  # noqa: PTH207 - "**" as it comes


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _serve(notebook: Path, arguments: Sequence[str], open_browser: bool) -> None:
    """Run JupyterLab in this process until it is told to end; its kernels end with it.

    What is said here goes before settings files and JUPYTER_TOKEN, which may name no token or
    every address.
    """
    from jupyterlab.labapp import LabApp

    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel beside this Python
    longest = UPLOAD_BYTES + 10**6
    server = LabApp.initialize_server(
        argv=[
            f"--ServerApp.root_dir={notebook.parent}",
            # An upload is one message with a file and some words.
            f"--ServerApp.tornado_settings={ {'websocket_max_message_size': longest} }",
            f"--LabApp.default_url=/lab/tree/{notebook.name}",
            *arguments,
            *([] if open_browser else ["--no-browser"]),
            "--ip=127.0.0.1",
            f"--IdentityProvider.token={secrets.token_hex(24)}",
        ]
    )
    server.identity_provider.token_generated = True  # or the address is printed without it
    server.io_loop.run_sync(lambda: run_before_it_is_opened(server, notebook))
    server.init_signal()  # again: what ran the notebook has taken its handlers away
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))  # a terminal that is closed
    server.start()


async def run_before_it_is_opened(server: Any, path: Path) -> None:
    """Run a notebook in a kernel of the server, which JupyterLab finds when it opens the notebook.

    The widgets in the outputs are then alive at once; the outputs are signed, so that they show.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbformat.sign import NotebookNotary

    session = await server.session_manager.create_session(
        path=path.name, name=path.name, type="notebook", kernel_name="python3"
    )
    notebook = nbformat.read(path, as_version=4)
    kernel = server.kernel_manager.get_kernel(session["kernel"]["id"])
    client = NotebookClient(notebook, km=kernel, timeout=None, store_widget_state=False)
    try:
        await client.async_execute()
    except CellExecutionError:
        pass  # the notebook shows it
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
    nbformat.write(notebook, path)
    NotebookNotary(parent=server).sign(notebook)
