"""The explorer in JupyterLab: the copy, the refusals, and a notebook that has been run."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
from chapters import ROOT, write_chapter

from skullnb.heads import open_data
from skullnb.report import lab

SECONDS = 180  # a slow machine compiles the kernels in this time
LAUNCH = 'lab.launch_lab(folder="work", open_browser=False, arguments=["--allow-root"])'
GROUPS = f"{'a' * 200},{'b' * 200}"  # which is no path, and too long for one
COUNT = "import ipywidgets\nslider = ipywidgets.IntSlider(value=3)\nslider"


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """Two notebooks to copy, in a current folder of their own."""
    folder = tmp_path / "notebooks"
    write_chapter(folder, "14-explore", COUNT, text="[threshold](03-threshold.ipynb)")
    write_chapter(folder, "03-threshold")
    monkeypatch.setattr(lab, "find_assets", lambda _: folder)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


@pytest.fixture
def served(notebooks, monkeypatch):
    """What would have been served."""
    given: list[tuple[Path, list[str], bool]] = []
    monkeypatch.setattr(lab, "_serve", lambda _, *words: given.append(words[:3]))
    return given


def chosen(path: Path) -> list[str]:
    """The parameters that the copy sets."""
    cells = nbformat.read(path, as_version=4).cells
    found = [one.source for one in cells if "injected-parameters" in one.metadata.get("tags", [])]
    return found[0].splitlines()[1:] if found else []


@pytest.mark.usefixtures("notebooks")
def test_an_earlier_copy_for_the_same_data_is_opened_again_and_nothing_overwritten():
    Path("03-threshold.ipynb").write_text("mine")
    first = lab.copy_notebook(Path(), {"kernel_width": 30})
    saved = nbformat.read(first, as_version=4)
    nbformat.validate(saved)
    assert chosen(first) == ["kernel_width = 30"]
    assert not any(cell.get("outputs") for cell in saved.cells)
    first.write_text("mine")
    assert lab.copy_notebook(Path(), {"kernel_width": 30}) == first
    assert lab.copy_notebook(Path(), {}) != first
    assert first.read_text() == Path("03-threshold.ipynb").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_kept_and_nothing_starts(served):
    Path("taken").write_text("")
    with pytest.raises(FileExistsError, match="taken"):
        lab.launch_lab(folder="taken")
    assert served == []


def test_relative_files_and_patterns_are_found_from_the_notebooks_folder(served, monkeypatch):
    np.save("scans.npy", np.random.default_rng(0).random((2, 20, 20)))
    for images in ("scans.npy", "sc*.npy"):
        lab.launch_lab(images=images, groups=GROUPS, folder="work", port=8899)
        (path, words, opens) = served[-1]
        assert (words, opens) == (["--port=8899"], True)
        named = chosen(path)
        assert named[1] == f'groups = "{GROUPS}"'
        monkeypatch.chdir("/")
        assert len(open_data(eval(named[0].partition(" = ")[2]))) == 2
        monkeypatch.chdir(path.parents[1])


@contextmanager
def jupyterlab(home: Path, program: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start JupyterLab without anybody's settings, wait for its address, and end it."""
    pytest.importorskip("jupyterlab")
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    names += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    places = {name: str(home / name.lower()) for name in names}
    with (home / "log.txt").open("wb") as log:
        run = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=home,
            env={**os.environ, **places, "PYTHONPATH": str(ROOT), "JUPYTER_TOKEN": "known"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # These tests may run under nohup.
            preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
        )
    address = (
        r"http://127\.0\.0\.1:\d+/lab/tree/14-explore-[0-9a-f]{8}\.ipynb\?token=[0-9a-f]{48}\b"
    )
    until = time.monotonic() + SECONDS
    try:
        while not (found := re.search(address, said := (home / "log.txt").read_text())):
            assert run.poll() is None, said[-2000:]
            assert time.monotonic() < until
            time.sleep(0.1)
        yield run, found[0]
    finally:
        run.terminate()
        run.wait(timeout=SECONDS)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.usefixtures("notebooks")
def test_it_is_run_when_it_is_opened_and_ends_though_its_command_is_killed(tmp_path):
    find = 'lab.find_assets = lambda _: Path("notebooks")'
    program = f"from pathlib import Path\nfrom skullnb.report import lab\n{find}\n{LAUNCH}"
    with jupyterlab(tmp_path, program) as (run, _):
        [path] = (tmp_path / "work").glob("14-explore-*.ipynb")
        notebook = nbformat.read(path, as_version=4)
        view = notebook.cells[-1].outputs[0].data["application/vnd.jupyter.widget-view+json"]
        assert view["model_id"]
        assert "widgets" not in notebook.metadata, "their state is the running kernel's"
        kernels = psutil.Process(run.pid).children(recursive=True)
        assert kernels, "its kernel goes on, for who opens it"
        run.kill()
        run.wait(timeout=60)
        assert psutil.wait_procs(kernels, timeout=60)[1] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("sent", "words", "code", "said"),
    [
        ("SIGINT", ["--allow-root"], 2, "Error: The explorer was stopped before"),
        ("", [], 2, "asked to; add --allow-root at the end of the command, after a --.\n"),
        ("", ["--help"], 0, "--no-browser"),
    ],
)
def test_what_ends_before_it_is_opened_ends_without_a_traceback(tmp_path, sent, words, code, said):
    pytest.importorskip("jupyterlab")
    wait = "open('begun', 'w'); import time; time.sleep(60)"
    write_chapter(tmp_path / "notebooks", "14-explore", wait)
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom skullnb.cli import main\n"
        "from skullnb.report import lab\nlab.find_assets = lambda _: Path('notebooks')\n"
        f"os.geteuid = lambda: 0\nmain(['lab', '--no-browser', '--', *{words}])"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    begun, until = tmp_path / "skullnb-lab" / "begun", time.monotonic() + SECONDS
    while sent and run.poll() is None and not begun.exists() and time.monotonic() < until:
        time.sleep(0.1)
    if sent:
        run.send_signal(getattr(signal, sent))
    text = run.communicate(timeout=SECONDS)[0]
    assert said in text
    assert "Traceback" not in text
    assert (run.returncode, begun.exists(), begun.parent.exists()) == (code, *[bool(sent)] * 2)
