"""JupyterLab, opened on a copy of the explorer that is set to the given data and already run."""

import glob
import os
import re
import secrets
import shutil
import signal
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from skullnb.errors import SkullnbError
from skullnb.report.build import find_assets, with_parameters, without_records
from skullnb.report.chapter import DATA_NAMES, Chapter
from skullnb.stack import writing
from skullnb.stack.checks import expand, needed

NOTEBOOK = "14-explore.ipynb"
UPLOAD_BYTES = 64_000_000  # the most that an upload in the explorer may hold


def launch_lab(
    *,
    folder: str | Path = "skullnb-lab",
    port: int = 0,
    open_browser: bool = True,
    arguments: Sequence[str] = (),
    **parameters: Any,
) -> None:
    """Open the explorer in JupyterLab, on this machine only, and wait until JupyterLab ends."""
    needed("jupyterlab", "The explorer", "lab")
    from jupyterlab.labapp import LabApp

    if {"-h", "--help", "--help-all", "--version", "-V", "--generate-config"} & {*arguments}:
        LabApp.launch_instance([*arguments])  # it answers that, and starts nothing
        return
    if opening := [one for one in arguments if re.match(r"--(\w+\.)?(ip|token)\b", one)]:
        told = "The explorer is for this computer only and has a token of its own"
        raise SkullnbError(f"{told}; leave out {opening[0]!r}.")
    paths = {key: _full(str(parameters.get(key, ""))) for key in DATA_NAMES[:3]}
    chosen = Chapter(NOTEBOOK, {**parameters, **paths}).parameters
    new, words = not Path(folder).exists(), [f"--port={port}"] * bool(port) + list(arguments)
    _serve(LabApp, copy_notebook(Path(folder).absolute(), chosen), words, open_browser, new)


def copy_notebook(folder: Path, parameters: Mapping[str, Any]) -> Path:
    """Copy the explorer's notebook, called after its cells, and all chapters, over nothing."""
    import nbformat

    chapters = find_assets("notebooks")
    notebook = without_records(with_parameters(chapters / NOTEBOOK, parameters))
    cells = sha256(repr([cell.source for cell in notebook.cells]).encode()).hexdigest()[:8]
    path = folder / NOTEBOOK.replace(".", f"-{cells}.")
    texts = {other.name: other.read_text("utf-8") for other in chapters.glob("*.ipynb")}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, path.name: nbformat.writes(notebook)}.items():
        if not (folder / name).exists():
            with writing(folder / name) as passing:
                passing.write_text(text, encoding="utf-8")
    return path


def _full(path: str) -> str:
    """Make a path or pattern absolute, because the notebook lies in another folder."""
    # Labels of groups may be longer than any path, and `~` is the reader's to write out.
    there = any(map(os.path.exists, (path, path.rpartition("#")[0]))) or glob.has_magic(path)
    return str(expand(path).absolute()) if there else path


def _serve(app: Any, path: Path, arguments: Sequence[str], open_browser: bool, new: bool) -> None:
    """Run the notebook in a kernel of JupyterLab, so that its widgets live, then JupyterLab."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError
    from nbformat.sign import NotebookNotary
    from tornado.util import TimeoutError

    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel beside this Python
    longest = UPLOAD_BYTES + 10**6  # an upload is one message with a file and some words
    own = [
        f"--ServerApp.root_dir={path.parent}",
        f"--ServerApp.tornado_settings={ {'websocket_max_message_size': longest} }",
        f"--LabApp.default_url=/lab/tree/{path.name}",
        *([] if open_browser else ["--no-browser"]),
    ]
    # This goes before settings files and JUPYTER_TOKEN, which may name no token or every address.
    token = ["--ip=127.0.0.1", f"--IdentityProvider.token={secrets.token_hex(24)}"]
    server = app.initialize_server(argv=[*own, *arguments, *token])
    server.identity_provider.token_generated = True  # or the address is printed without it
    if hasattr(os, "geteuid") and os.geteuid() == 0 and not server.allow_root:
        if new:  # only now has JupyterLab read its settings, which may allow root
            shutil.rmtree(path.parent)
        told = "JupyterLab serves root only when asked to"
        raise SkullnbError(f"{told}; add --allow-root at the end of the command, after a --.")

    async def run() -> None:
        words = {"path": path.name, "name": path.name, "type": "notebook", "kernel_name": "python3"}
        session = await server.session_manager.create_session(**words)
        kernel = server.kernel_manager.get_kernel(session["kernel"]["id"])
        notebook = nbformat.read(path, as_version=4)
        shown = {"allow_errors": True, "store_widget_state": False, "shutdown_kernel": "immediate"}
        client: Any = NotebookClient(notebook, km=kernel, timeout=None, **shown)
        await client.async_execute()
        client.kc.stop_channels()
        nbformat.write(notebook, path)
        NotebookNotary(parent=server).sign(notebook)  # or its outputs would not show

    try:
        server.io_loop.run_sync(run)
    except (DeadKernelError, TimeoutError) as error:  # what a signal ends here
        told = "The explorer was stopped before its notebook had run; start it again."
        raise SkullnbError(told) from error
    server.init_signal()  # again: what ran the notebook has taken its handlers away
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))  # a terminal that is closed
    server.start()
