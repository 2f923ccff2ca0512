"""The explorer in JupyterLab: a copy of its notebook, set to the given data, and already run."""

from __future__ import annotations

import glob
import os
import re
import secrets
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from skullnb.errors import SkullnbError
from skullnb.report.build import find_assets, with_parameters, without_records
from skullnb.report.chapter import PARAMETERS, Chapter
from skullnb.stack import writing
from skullnb.stack.checks import needed

NOTEBOOK = "14-explore.ipynb"
UPLOAD_BYTES = 64_000_000  # the most that an upload in the explorer may hold


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

    `images` and `parameters` are those of every notebook, `arguments` JupyterLab's.
    """
    for module in ("jupyterlab", "ipywidgets"):
        needed(module, "The explorer", "lab")
    if opening := [one for one in arguments if re.match(r"--(\w+\.)?(ip|token)\b", one)]:
        raise SkullnbError(
            f"The explorer is for this computer only and has a token of its own; leave out"
            f" {opening[0]!r}, or start JupyterLab yourself in the folder {Path(folder).name!r}."
        )
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root and not any(re.match(r"--.*allow.root", one) for one in arguments):
        said = "JupyterLab does not start as root unless it is allowed to; run `skullnb lab --"
        raise SkullnbError(f"{said} --allow-root`, or `make lab LAB='-- --allow-root'` in a clone.")
    given = {**parameters, "images": images}
    paths = {key: _full(str(given.get(key, ""))) for key in ("images", "reference", "groups")}
    chosen = Chapter(NOTEBOOK, {**given, **paths}).parameters
    notebook = copy_notebook(Path(folder).absolute(), chosen)
    _serve(notebook, [f"--port={port}"] * bool(port) + list(arguments), open_browser)


def copy_notebook(folder: Path, parameters: Mapping[str, Any]) -> Path:
    """Copy the explorer's notebook, with parameters set, and the chapters that it links to.

    An earlier copy whose cells say the same is taken again; any other is never overwritten.
    """
    import nbformat

    chapters = find_assets("notebooks")
    chosen = {name: one for name, one in parameters.items() if one != PARAMETERS[name]}
    notebook = without_records(with_parameters(chapters / NOTEBOOK, chosen))
    folder.mkdir(parents=True, exist_ok=True)
    sources = [cell.source for cell in notebook.cells]
    for number in count(1):
        path = folder / (NOTEBOOK if number == 1 else NOTEBOOK.replace(".", f"-{number}."))
        if not path.exists():
            break
        with suppress(Exception):  # whatever has been made of it
            if [cell.source for cell in nbformat.read(path, as_version=4).cells] == sources:
                return path
    for other in [one for one in chapters.glob("*.ipynb") if not (folder / one.name).exists()]:
        with writing(folder / other.name) as passing:
            shutil.copyfile(other, passing)
    with writing(path) as passing:
        nbformat.write(notebook, passing)
    return path


def _full(path: str) -> str:
    """Make a path or pattern absolute, because the notebook lies in another folder."""
    if path and Path(path.partition("#")[0]).exists():
        return str(Path(path).absolute())
    here = glob.escape(str(Path.cwd()))
    return str(Path(here) / path) if glob.glob(path) else path  # noqa: PTH207 - "**" as it comes


def _serve(notebook: Path, arguments: Sequence[str], open_browser: bool) -> None:
    """Run JupyterLab in this process until it is told to end; its kernels end with it."""
    from jupyterlab.labapp import LabApp

    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel beside this Python
    longest = UPLOAD_BYTES + 10**6  # an upload is one message with a file and some words
    own = [
        f"--ServerApp.root_dir={notebook.parent}",
        f"--ServerApp.tornado_settings={ {'websocket_max_message_size': longest} }",
        f"--LabApp.default_url=/lab/tree/{notebook.name}",
        *([] if open_browser else ["--no-browser"]),
    ]
    # This goes before settings files and JUPYTER_TOKEN, which may name no token or every address.
    token = ["--ip=127.0.0.1", f"--IdentityProvider.token={secrets.token_hex(24)}"]
    server = LabApp.initialize_server(argv=[*own, *arguments, *token])
    server.identity_provider.token_generated = True  # or the address is printed without it
    server.io_loop.run_sync(lambda: run_before_it_is_opened(server, notebook))
    server.init_signal()  # again: what ran the notebook has taken its handlers away
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))  # a terminal that is closed
    server.start()


async def run_before_it_is_opened(server: Any, path: Path) -> None:
    """Run a notebook in a kernel of the server, so that its widgets live when it is opened."""
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
    with suppress(CellExecutionError):  # the notebook shows it
        await client.async_execute()
    if client.kc is not None:
        client.kc.stop_channels()
    nbformat.write(notebook, path)
    # Signed, so that the outputs show.
    NotebookNotary(parent=server).sign(notebook)
