"""`skullnb mask` and `skullnb report`, killed at random moments: whole files or none.

SKULLNB_KILLS says how often; more than the usual few take minutes. Batches are killed in
`test_batch.py`.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from skullnb.phantom import subject
from skullnb.pipeline import create_skull_masks

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


def test_masks_of_a_killed_run_are_whole_or_not_there(tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    rng = np.random.default_rng(7)
    volumes = {f"head{n:02}_mask": rng.random((8, 200, 180)) for n in range(12)}
    for name, images in volumes.items():
        np.savez_compressed(scans / f"{name.removesuffix('_mask')}.npz", images=images)
    expected = {name: create_skull_masks(images) for name, images in volumes.items()}
    words = ("mask", scans, "--workers", 1, "-o")

    moments = random.Random(3)
    for number in range(KILLS):
        masks = tmp_path / f"masks{number}"
        n_wanted, seconds = moments.randint(1, 8), moments.uniform(1e-5, 0.01)
        run = start(n_wanted, seconds, *words, masks, code=DYING + COMMAND)
        said = run.communicate()[0].decode()
        assert run.returncode == -signal.SIGALRM, said
        found = [*masks.glob("head*_mask.npz")]
        assert n_wanted - 1 <= len(found) < len(volumes)
        for path in found:
            with np.load(path, allow_pickle=False) as file:
                np.testing.assert_array_equal(file["masks"], expected[path.stem])
    finish(start(*words, masks, "--overwrite"))
    for name, whole in expected.items():
        with np.load(masks / f"{name}.npz") as file:
            np.testing.assert_array_equal(file["masks"], whole)


def working_in(folder):
    """Processes whose current folder is in this one, by number."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                found.add(process.name)
    return found


def wait_until(done, seconds=120):
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert done()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="asks /proc")
def test_a_killed_report_leaves_the_older_one_whole_and_no_process(tmp_path):
    images = tmp_path / "scans.npy"
    np.save(images, subject(1, n_slices=1, shape=(256, 208)).images)
    words = ["report", "--images", images, "--chapter", "03", "--output", tmp_path / "report"]
    finish(start(*words))
    page = tmp_path / "report" / "html" / "index.html"
    expected, before = page.read_bytes(), {*tmp_path.iterdir()}

    moments, n_killed = random.Random(5), 0
    for _ in range(KILLS):
        run = start(*words, "--overwrite")
        wait_until(lambda run=run: run.poll() is not None or {*tmp_path.iterdir()} != before)
        time.sleep(moments.uniform(0, 4))
        n_killed += run.poll() is None
        run.kill()
        run.communicate()
        assert page.read_bytes() == expected
        wait_until(lambda: not working_in(tmp_path))
    assert n_killed
    finish(start(*words, "--overwrite"))
    assert page.is_file()
