"""`skullnb mask` and `skullnb report`, killed at random moments: whole files or none.

SKULLNB_KILLS says how often; more than the usual few take minutes. Batches are killed in
`test_batch.py`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from skullnb.phantom import subject
from skullnb.pipeline import create_skull_masks
from skullnb.report.place import put_in_place, tidy, workplace
from skullnb.stack import list_volumes

KILLS = int(os.environ.get("SKULLNB_KILLS", "2"))

COMMAND = "from skullnb.cli import main; main()"

# The command, killed by the system so long after it gave a mask its name: it can't be too fast.
DYING = """
import signal, sys
left, seconds = int(sys.argv.pop(1)), float(sys.argv.pop(1))
def count(event, arguments):
    global left
    if event == "os.rename" and str(arguments[1]).endswith(".npz"):
        left -= 1
        if not left:
            signal.setitimer(signal.ITIMER_REAL, seconds)
sys.addaudithook(count)
"""


def start(*words, code=COMMAND):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(run):
    said = run.communicate()[0].decode()
    assert run.returncode == 0, said


def wait_for(run, condition):
    """Wait as long as the run lasts: how fast it is depends on the machine."""
    while run.poll() is None and not condition():
        time.sleep(0.01)


def kill_after(run, seconds):
    """Kill with a signal that nobody can catch, unless the run was faster."""
    try:
        run.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        run.kill()
    run.communicate()
    assert run.returncode in (0, -signal.SIGKILL)
    return run.returncode != 0


def test_masks_of_a_killed_run_are_whole_or_not_there(tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    rng = np.random.default_rng(7)
    volumes = {f"head{n:02}_mask": rng.random((8, 200, 180)) for n in range(12)}
    for name, images in volumes.items():
        np.savez_compressed(scans / f"{name.removesuffix('_mask')}.npz", images=images)
    expected = {name: create_skull_masks(images) for name, images in volumes.items()}

    moments = random.Random(3)
    for number in range(KILLS):
        masks = tmp_path / f"masks{number}"
        n_wanted, seconds = moments.randint(1, 8), moments.uniform(1e-5, 0.01)
        run = start(n_wanted, seconds, "mask", scans, "-o", masks, code=DYING + COMMAND)
        said = run.communicate()[0].decode()
        assert run.returncode == -signal.SIGALRM, said
        found = list_volumes(masks) if [*masks.glob("head*")] else []
        assert n_wanted - 1 <= len(found) < len(volumes)
        for volume in found:
            with np.load(volume.path, allow_pickle=False) as file:
                np.testing.assert_array_equal(file["masks"], expected[volume.name])
    finish(start("mask", scans, "-o", masks, "--overwrite"))
    for name, whole in expected.items():
        with np.load(masks / f"{name}.npz") as file:
            np.testing.assert_array_equal(file["masks"], whole)


def numbers(report):
    return json.loads((report / "results.json").read_text(encoding="utf-8"))["chapters"]


@pytest.mark.slow
def test_a_killed_report_is_not_there_and_the_next_one_tidies_up(tmp_path):
    images = tmp_path / "scans.npy"
    np.save(images, subject(1, n_slices=1, shape=(256, 208)).images)
    words = ["report", "--images", images, "--chapter", "03", "--output", tmp_path / "report"]

    finish(start(*words))
    expected = numbers(tmp_path / "report")

    moments, n_killed = random.Random(5), 0
    for _, made in zip(range(KILLS), cycle(["results", "built/_build", "notebooks"])):
        run = start(*words, "--overwrite")
        wait_for(run, lambda made=made: [*tmp_path.glob(f".report-*.partial/{made}")])
        n_killed += kill_after(run, moments.uniform(0, 2))
        assert numbers(tmp_path / "report") == expected
        assert (tmp_path / "report" / "html" / "index.html").is_file()
    assert n_killed
    finish(start(*words, "--overwrite"))
    assert numbers(tmp_path / "report") == expected
    assert {path.name for path in tmp_path.iterdir()} == {"scans.npy", "report"}


def working_in(folder):
    """Processes whose current folder is in this one, by number."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                found.add(process.name)
    return found


asks_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="asks /proc")


def wait_until(done, seconds=120):
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert done()


@asks_proc
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_chapters_of_a_report_stop_with_it_and_leave_nothing(tmp_path, monkeypatch, name):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    run = start("report", "--chapter", "12", "--output", tmp_path / "report")
    wait_until(lambda: len(working_in(tmp_path)) == 2, 600)  # papermill and its kernel
    run.send_signal(getattr(signal, name))
    run.communicate()
    if name == "SIGTERM":  # it has waited for them, and then tidied up
        assert not working_in(tmp_path)
        assert [*tmp_path.iterdir()] == [temporary]
    wait_until(lambda: not working_in(tmp_path))
    assert not [*tmp_path.glob(".report-*.partial/results/*")]
    assert not [*temporary.iterdir()]


@asks_proc
def test_the_builder_of_the_pages_stops_with_a_report_that_is_killed(tmp_path):
    run = start("report", "--chapter", "12", "--output", tmp_path / "report")
    work = ".report-*.partial"
    wait_for(run, lambda: [*tmp_path.glob(f"{work}/built")])
    wait_for(run, lambda: len(working_in(tmp_path)) == 1)
    [builder] = map(int, working_in(tmp_path))
    assert os.getsid(builder) == builder  # the terminal's Ctrl-C is for the report alone
    assert kill_after(run, 0)
    wait_until(lambda: not working_in(tmp_path))
    assert not [*tmp_path.glob(f"{work}/built/_build/html/searchindex.js")]  # the last to come


@asks_proc
def test_processes_that_compare_widths_stop_with_a_kernel_that_is_killed(tmp_path):
    code = (
        "from skullnb.validation.cohort import CohortPlan, cohort_scores; from pathlib import *; "
    )
    code += "cohort_scores(CohortPlan(n_subjects=1000), workers=2, cache_dir=Path('cache'))"
    run = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    wait_until(lambda: [*tmp_path.glob("cache/**/*.json")], 600)
    run.kill()
    run.wait()
    wait_until(lambda: not working_in(tmp_path))


def test_a_run_that_is_still_at_work_keeps_its_folder(tmp_path):
    output = tmp_path / "report"
    with workplace(output) as work:
        (work / "page").write_text("half")
        tidy(output)
        assert (work / "page").read_text() == "half"
        put_in_place(work, output)
    tidy(output)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_an_older_report_gets_its_name_back_from_a_run_killed_between_the_names(tmp_path):
    output = tmp_path / "report"
    for suffix in ("partial", "old"):
        (tmp_path / f".report-1234abcd.{suffix}").mkdir()
    (tmp_path / ".report-1234abcd.old" / "page").write_text("older, and whole")
    (tmp_path / ".report-1234abcd.lock").touch()
    tidy(output)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (output / "page").read_text() == "older, and whole"


def test_what_a_report_of_a_longer_name_left_behind_is_not_its_own(tmp_path):
    for output in ("report", "report-2", "report-deadbeef"):
        for suffix in ("partial", "old"):
            (tmp_path / f".{output}-1234abcd.{suffix}").mkdir()
        (tmp_path / f".{output}-1234abcd.old" / "page").write_text(output)
        (tmp_path / f".{output}-1234abcd.lock").touch()
    tidy(tmp_path / "report")
    assert (tmp_path / "report" / "page").read_text() == "report"
    assert len(list(tmp_path.iterdir())) == 1 + 2 * 3
    tidy(tmp_path / "report-2")
    assert (tmp_path / "report-2" / "page").read_text() == "report-2"
