"""The explorer in JupyterLab: the copy, the refusals, and a notebook that has been run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from unittest import mock

import nbformat
import numpy as np
import psutil
import pytest
from chapters import ROOT, write_chapter

from skullnb.errors import InvalidSetting, SkullnbError, UnreadableFile
from skullnb.heads import open_data
from skullnb.report import lab

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
    monkeypatch.setattr(lab, "_serve", lambda *words: given.append(words))
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    return given


def chosen(path: Path) -> list[str]:
    """The parameters that the copy sets."""
    cells = nbformat.read(path, as_version=4).cells
    found = [one.source for one in cells if "injected-parameters" in one.metadata.get("tags", [])]
    return found[0].splitlines()[1:] if found else []


def test_the_copy_is_the_notebook_with_what_was_chosen_and_no_output(notebooks):
    path = lab.copy_notebook(Path(), {"images": "a'b\\c.npy", "axis": "", "kernel_width": 26})
    copied, own = (nbformat.read(one, as_version=4) for one in (path, notebooks / lab.NOTEBOOK))
    nbformat.validate(copied)
    assert chosen(path) == ['images = "a\'b\\\\c.npy"']
    assert [cell.source for cell in own.cells] == [cell.source for cell in copied.cells][:2] + [
        cell.source for cell in copied.cells[3:]
    ]
    assert all(cell.outputs == [] for cell in copied.cells if cell.cell_type == "code")
    assert Path("03-threshold.ipynb").exists(), "it links there"


@pytest.mark.usefixtures("notebooks")
def test_an_earlier_copy_is_opened_again_where_it_is_the_same_and_never_overwritten():
    first = lab.copy_notebook(Path(), {"kernel_width": 30})
    saved = nbformat.read(first, as_version=4)
    for cell in saved.cells:
        cell.metadata["trusted"] = True
    nbformat.write(saved, first)
    Path("03-threshold.ipynb").write_text("mine")
    assert lab.copy_notebook(Path(), {"kernel_width": 30}) == first
    assert lab.copy_notebook(Path(), {}).name == "14-explore-2.ipynb"
    for text in ("mine", "null", '{"cells": [{}]}', '{"cells": 3}'):
        first.write_text(text)
        assert lab.copy_notebook(Path(), {"kernel_width": 30}).name == "14-explore-3.ipynb"
        assert first.read_text() == text
    assert Path("03-threshold.ipynb").read_text() == "mine"


@pytest.mark.usefixtures("served")
def test_a_disk_that_fills_up_leaves_no_half_copy(monkeypatch):
    full = mock.Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnreadableFile, match="No space"):
        lab.launch_lab(folder="work")
    assert list(Path("work").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"images": "missing.npy"}, UnreadableFile, "missing"),
        ({"reference": "masks.npy"}, InvalidSetting, "reference"),
        ({"kernel_width": -3}, InvalidSetting, "-3"),
        ({"folder": "taken"}, UnreadableFile, "taken"),
        ({"arguments": ["--ip=0.0.0.0"]}, SkullnbError, "this computer only.*leave out '--ip"),
        ({"arguments": ["--ServerApp.ip=*"]}, SkullnbError, "leave out"),
        ({"arguments": ["--ServerApp.token="]}, SkullnbError, "leave out"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_starts(served, given, error, words):
    Path("taken").write_text("")
    with pytest.raises(error, match=words):
        lab.launch_lab(**{"folder": "work", **given})
    assert served == []
    assert not Path("work").exists()


def test_root_and_who_lacks_jupyterlab_are_told_what_to_do(served, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    with pytest.raises(SkullnbError, match="`skullnb lab -- --allow-root`"):
        lab.launch_lab()
    for allowed in ("--allow-root", "--ServerApp.allow_root=True"):
        lab.launch_lab(arguments=[allowed])
    assert [words for _, words, _ in served] == [["--allow-root"], ["--ServerApp.allow_root=True"]]
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    with pytest.raises(SkullnbError, match=r"needs jupyterlab.*pip install 'skullnb\[lab\]'"):
        lab.launch_lab()


@pytest.mark.parametrize("here", [".", "ward [3]"])
def test_relative_files_and_patterns_are_found_from_the_notebooks_folder(served, monkeypatch, here):
    Path(here).mkdir(exist_ok=True)
    monkeypatch.chdir(here)
    np.save("scans.npy", np.random.default_rng(0).random((2, 20, 20)))
    for images in ("scans.npy", "sc*.npy"):
        lab.launch_lab(images, groups="a,b", folder="work", port=8899)
        (path, words, opens) = served[-1]
        assert (words, opens) == (["--port=8899"], True)
        named = chosen(path)
        assert named[1] == "groups = 'a,b'"
        monkeypatch.chdir("/")
        assert len(open_data(eval(named[0].partition(" = ")[2]))) == 2
        monkeypatch.chdir(path.parents[1])


PROGRAM = """
import sys
from pathlib import Path
from skullnb.report import lab
lab.find_assets = lambda _: Path("notebooks")
lab.launch_lab(folder="work", open_browser=False, arguments=["--allow-root"])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGKILL"])
@pytest.mark.usefixtures("notebooks")
def test_it_is_run_when_it_is_opened_and_ends_with_its_command(tmp_path, name):
    pytest.importorskip("jupyterlab")
    places = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, **places, "PYTHONPATH": str(ROOT), "JUPYTER_TOKEN": "known"},
        **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL),
        # These tests may run under nohup.
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
    )
    until = time.monotonic() + 300
    try:
        while not list((tmp_path / "RUNTIME").glob("jpserver-*-open.html")):
            assert run.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        [begun] = (tmp_path / "RUNTIME").glob("jpserver-*.json")
        said = json.loads(begun.read_text("utf-8"))
        assert (said["hostname"], len(said["token"])) == ("127.0.0.1", 48)
        notebook = nbformat.read(tmp_path / "work" / lab.NOTEBOOK, as_version=4)
        view = notebook.cells[-1].outputs[0].data["application/vnd.jupyter.widget-view+json"]
        assert view["model_id"]
        assert "widgets" not in notebook.metadata, "their state is the running kernel's"
        kernels = psutil.Process(run.pid).children(recursive=True)
        assert kernels, "its kernel goes on, for who opens it"
        run.send_signal(getattr(signal, name))
        run.wait(timeout=60)
        assert psutil.wait_procs(kernels, timeout=60)[1] == []
    finally:
        run.kill()
        run.wait()
    left = list((tmp_path / "RUNTIME").glob("jpserver-*"))
    assert bool(left) == (name == "SIGKILL"), "who is killed leaves a token that opens nothing"
