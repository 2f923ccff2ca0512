"""The command in surroundings that are not a terminal: no letters, no reader, told to stop."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial

import click
import numpy as np
import psutil
import pytest

from skullnb.console import Command, SliceCount

COMMAND = [sys.executable, "-c", "from skullnb.cli import main; main()"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and closed streams of POSIX")


def test_a_name_is_said_where_there_are_no_letters_for_it(tmp_path):
    np.save(tmp_path / "脳.npy", np.eye(20)[None])
    words = ["mask", "脳.npy", "-o", "m.npy"]
    few_letters = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([*COMMAND, *words], cwd=tmp_path, env=few_letters, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert rb"\u8133" in done.stdout
    assert (tmp_path / "m.npy").exists()


@pytest.mark.parametrize("options", [[], ["--workers", "1"]])
def test_the_work_is_done_where_nobody_listens(tmp_path, options):
    np.save(tmp_path / "scan.npy", np.eye(20)[None])
    words = ["mask", "scan.npy", "-o", "m.npy", *options]
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, *words], cwd=tmp_path)
    assert done.returncode == 0
    assert np.load(tmp_path / "m.npy").shape == (1, 20, 20)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, "\r10 slices"), (io.StringIO, "")])
def test_slices_are_counted_where_somebody_watches_and_the_line_is_left_clean(
    monkeypatch, stream, shown
):
    monkeypatch.setattr(sys, "stderr", stream())
    with SliceCount() as count:
        for index in range(12):
            count(index, None)
        said = sys.stderr.getvalue()
    assert said == shown
    assert sys.stderr.getvalue().removeprefix(said) == (f"\r{20 * ' '}\r" if shown else "")


def test_who_is_stopped_without_a_terminal_says_so_by_the_code_alone(monkeypatch):
    def gone(*_, **__):
        raise OSError(5, "Input/output error")

    def stop():
        raise KeyboardInterrupt

    group = Command(commands=[click.Command("stop", callback=stop)])
    monkeypatch.setattr("skullnb.console.click.echo", gone)
    with pytest.raises(SystemExit) as ended:
        group.main(["stop"])
    assert ended.value.code == 130


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_report_that_is_told_to_stop_takes_everything_with_it(tmp_path, name):
    number = getattr(signal, name)
    words = [*COMMAND, "report", "--chapter", "10", "-o", "out"]
    listen = partial(signal.signal, number, signal.SIG_DFL)  # these tests may run under nohup
    run = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=listen)
    family = psutil.Process(run.pid)
    until = time.monotonic() + 600
    while not any("ipykernel" in words for words in at_work(family).values()):
        assert run.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    helpers = at_work(family)
    run.send_signal(number)
    run.communicate(timeout=600)
    assert run.returncode == 130  # and not 1, which is that all was done and a part failed
    assert psutil.wait_procs(helpers, timeout=120)[1] == []
    assert list(tmp_path.iterdir()) == []


def at_work(process):
    """Give the processes that one has started, and those that they have, with their commands."""
    found = {}
    for one in process.children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            found[one] = " ".join(one.cmdline())
    return found
