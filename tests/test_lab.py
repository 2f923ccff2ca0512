"""`launch_lab` up to the start of JupyterLab: the copy, the command, the refusals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner

from skullnb import lab
from skullnb.cli import main
from skullnb.console import told_to_stop
from skullnb.errors import InvalidSetting, SkullnbError, UnreadableFile
from skullnb.report import find_assets


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have been run."""
    monkeypatch.setattr(lab, "_is_root", lambda: False)
    commands: list[list[str]] = []
    monkeypatch.setattr(lab, "_run", lambda command: commands.append(command) or 0)
    return commands


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def chosen(path: Path) -> list[str]:
    """The parameters that the copy sets."""
    found = [one for one in cells(path) if "injected-parameters" in one["metadata"].get("tags", [])]
    return found[0]["source"].splitlines()[1:] if found else []


def test_the_copy_has_every_cell_of_the_chapter_and_no_output(tmp_path: Path) -> None:
    copy = cells(lab.copy_notebook(tmp_path, {}))
    chapter = cells(find_assets("notebooks") / lab.NOTEBOOK)
    assert [one["source"] for one in copy] == [one["source"] for one in chapter]
    assert all(one["outputs"] == [] for one in copy if one["cell_type"] == "code")


def test_the_chosen_parameters_have_the_last_word(tmp_path: Path) -> None:
    path = lab.copy_notebook(tmp_path, {"images": "a'b\\c.npy", "axis": "axial", "slices": ""})
    assert chosen(path) == ['images = "a\'b\\\\c.npy"']
    sources = ["".join(one["source"]) for one in cells(path) if one["cell_type"] == "code"]
    opening = next(number for number, source in enumerate(sources) if "open_chapter(" in source)
    namespace: dict = {}
    exec("\n".join(sources[:opening]), namespace)
    assert namespace["images"] == "a'b\\c.npy"
    assert (namespace["axis"], namespace["slices"]) == ("axial", "")


def test_an_earlier_copy_is_never_overwritten(tmp_path: Path) -> None:
    first = lab.copy_notebook(tmp_path, {})
    first.write_text("mine")
    assert lab.copy_notebook(tmp_path, {}).name == "14-explore-2.ipynb"
    assert first.read_text() == "mine"


@pytest.mark.parametrize("saved", ["null", '{"cells": [{}]}', '{"cells": 3}'])
def test_whatever_became_of_an_earlier_copy_a_new_one_is_made(tmp_path: Path, saved: str) -> None:
    lab.copy_notebook(tmp_path, {}).write_text(saved)
    assert lab.copy_notebook(tmp_path, {}).name == "14-explore-2.ipynb"


def test_an_earlier_copy_that_was_only_run_and_saved_is_opened_again(tmp_path: Path) -> None:
    first = lab.copy_notebook(tmp_path, {"kernel_width": 30})
    saved = json.loads(first.read_text(encoding="utf-8"))
    for cell in saved["cells"]:
        cell["source"] = "".join(cell["source"]).splitlines(keepends=True)
        cell["metadata"]["trusted"] = True
    first.write_text(json.dumps(saved), encoding="utf-8")
    assert lab.copy_notebook(tmp_path, {"kernel_width": 30}) == first
    assert json.loads(first.read_text(encoding="utf-8")) == saved
    assert lab.copy_notebook(tmp_path, {"kernel_width": 24}).name == "14-explore-2.ipynb"
    assert lab.copy_notebook(tmp_path, {"kernel_width": 30}) == first


def test_the_chapters_that_the_copy_links_to_lie_beside_it_and_are_kept(tmp_path: Path) -> None:
    (tmp_path / "03-threshold.ipynb").write_text("mine")
    text = lab.copy_notebook(tmp_path, {}).read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#]+\.ipynb)", text))
    assert "03-threshold.ipynb" in linked
    assert linked <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "03-threshold.ipynb").read_text() == "mine"


@pytest.mark.parametrize("allowed", ["--allow-root", "--ServerApp.allow_root=True"])
def test_root_is_told_beforehand_how_jupyterlab_may_start(
    tmp_path: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    monkeypatch.setattr(lab, "_is_root", lambda: True)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(main, ["lab", "--no-browser"])
    assert (said.exit_code, started, list(tmp_path.iterdir())) == (2, [], [])
    assert "`skullnb lab -- --allow-root`" in said.stderr
    assert CliRunner().invoke(main, ["lab", "--", allowed]).exit_code == 0
    assert started[0][-2] == allowed


@pytest.mark.parametrize("n_there", [0, 14])
def test_a_disk_that_fills_up_leaves_no_half_copy(tmp_path: Path, n_there: int) -> None:
    resource = pytest.importorskip("resource")
    chapters = [path.name for path in find_assets("notebooks").glob("*.ipynb")]
    there = [name for name in chapters if name != lab.NOTEBOOK][:n_there]
    for name in there:
        (tmp_path / name).write_text("mine")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, usual[1]))
    try:
        with pytest.raises(UnreadableFile, match="File too large"):
            lab.copy_notebook(tmp_path, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(there)


def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UnreadableFile, match="taken"):
        lab.copy_notebook(tmp_path / "taken", {})


def test_jupyterlab_is_started_by_this_python_for_this_machine_only(
    tmp_path: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab.launch_lab(kernel_width=30, port=8899, open_browser=False) == 0
    command = started[0]
    assert command[:4] == [sys.executable, "-P", "-m", "skullnb.lab"]
    assert "--port=8899" in command
    assert "--no-browser" in command
    assert command[-1] == str(tmp_path / "skullnb-lab" / "14-explore.ipynb")
    assert chosen(Path(command[-1])) == ["kernel_width = 30"]


def test_the_port_and_the_browser_are_left_to_jupyterlab(
    tmp_path: Path, started: list[list[str]]
) -> None:
    lab.launch_lab(folder=tmp_path / "work", arguments=["--allow-root"])
    words = " ".join(started[0])
    assert "--port" not in words
    assert "--no-browser" not in words
    assert "--allow-root" in started[0]


def test_address_and_token_have_the_last_word_and_every_start_has_another_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labapp = pytest.importorskip("jupyterlab.labapp")
    asked, server = [], mock.MagicMock()
    monkeypatch.setattr(
        labapp.LabApp, "initialize_server", lambda argv: asked.append(argv) or server
    )
    for _ in range(2):
        lab.serve(["--no-browser"])
    assert [one[:2] for one in asked] == [["--no-browser", "--ip=127.0.0.1"]] * 2
    tokens = {re.fullmatch("--IdentityProvider.token=([0-9a-f]{48})", one[2])[1] for one in asked}
    assert len(tokens) == 2
    assert server.start.call_count == 2


@pytest.mark.parametrize("argument", ["--ip=0.0.0.0", "--ServerApp.ip=*", "--ServerApp.token="])
def test_an_argument_that_opens_the_explorer_to_others_is_refused(
    tmp_path: Path, started: list[list[str]], argument: str
) -> None:
    with pytest.raises(SkullnbError, match=r"this computer only.*leave out '--"):
        lab.launch_lab(folder=tmp_path / "work", arguments=["--allow-root", argument])
    assert started == []
    assert not (tmp_path / "work").exists()


def test_a_relative_path_is_made_absolute_because_the_notebook_lives_elsewhere(
    tmp_path: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("scans.npy", np.random.default_rng(0).random((2, 20, 20)))
    lab.launch_lab("scans.npy", groups="a,b", folder="work")
    assert chosen(Path(started[0][-1])) == [
        f"images = {str(tmp_path / 'scans.npy')!r}",
        "groups = 'a,b'",
    ]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"images": "missing.npy"}, UnreadableFile),
        ({"reference": "masks.npy"}, InvalidSetting),
        ({"kernel_width": -3}, InvalidSetting),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, started: list[list[str]], given: dict, error: type[Exception]
) -> None:
    with pytest.raises(error):
        lab.launch_lab(**given, folder=tmp_path / "work")
    assert started == []
    assert not (tmp_path / "work").exists()


def test_without_jupyterlab_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    with pytest.raises(SkullnbError, match=r"pip install 'skullnb\[lab\]'"):
        lab.launch_lab(folder=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_the_exit_code_is_jupyterlabs_and_ctrl_c_is_left_to_it() -> None:
    wait_then_leave = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT)"
    assert lab._run([sys.executable, "-c", f"{wait_then_leave}; time.sleep(0.3); exit(7)"]) == 7


def test_the_kernel_is_the_one_beside_this_python() -> None:
    check = "import os, sys; sys.exit(os.environ['JUPYTER_PREFER_ENV_PATH'] != '1')"
    assert lab._run([sys.executable, "-c", check]) == 0


def test_jupyterlab_may_tidy_up_when_the_command_is_told_to_stop(tmp_path: Path) -> None:
    tidied = tmp_path / "tidied"
    child = f"""
import os, pathlib, signal, time
def tidy(*_):
    time.sleep(0.5)
    pathlib.Path({str(tidied)!r}).touch()
    os._exit(0)
signal.signal(signal.SIGTERM, tidy)
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # these tests may be told to ignore it
    try:
        with pytest.raises(KeyboardInterrupt), told_to_stop():
            lab._run([sys.executable, "-c", child])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert tidied.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows closes no terminal this way")
def test_jupyterlab_knows_when_the_command_ends_even_before_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Callable[[], object]] = []
    monkeypatch.setattr(lab, "end_after", told.append)
    hang_up = signal.getsignal(signal.SIGHUP)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as command:
        monkeypatch.setenv(lab._COMMAND, str(command.pid))
        lab._end_in_order()
        signal.signal(signal.SIGHUP, hang_up)
        waiting = Thread(target=told[0], daemon=True)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    told[0]()  # which returns: there is nothing to wait for
    waiting.join(60)
    assert not waiting.is_alive()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows closes no terminal this way")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGHUP"])
def test_jupyterlab_ends_with_the_command_and_leaves_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip("jupyterlab")
    for kind in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(kind, str(tmp_path / kind))
    code = "from skullnb.cli import main; main()"
    run = subprocess.Popen(
        [sys.executable, "-c", code, "lab", "--no-browser", "--", "--allow-root"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # These tests may run under nohup.
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
    )

    def wait_until(there: bool) -> None:
        """Wait for files that hold the token, or for their end."""
        until = time.monotonic() + 300
        while there != any(tmp_path.glob("JUPYTER_RUNTIME_DIR/jpserver-*")):
            assert time.monotonic() < until
            time.sleep(0.1)

    try:
        wait_until(there=True)
        # A terminal tells all its processes; nothing tells anybody that a process was killed.
        (os.killpg if name == "SIGHUP" else os.kill)(run.pid, getattr(signal, name))
        run.wait()
        wait_until(there=False)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
