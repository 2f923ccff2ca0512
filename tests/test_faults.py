"""`skullnb mask`, killed at random moments: whole files or none.

SKULLNB_KILLS says how often. Batches are killed in `test_batch.py`, reports in `test_report.py`.
"""

import os
import random
import signal
import subprocess

import numpy as np
from commands import COMMAND

from skullnb.pipeline import create_skull_masks

KILLS = int(os.environ.get("SKULLNB_KILLS", "2"))

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


def run(*words, before=""):
    words = [*COMMAND[:2], before + COMMAND[2], *map(str, words)]
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


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
        done = run(n_wanted, seconds, *words, masks, before=DYING)
        assert done.returncode == -signal.SIGALRM, done.stdout
        found = [*masks.glob("head*_mask.npz")]
        assert n_wanted - 1 <= len(found) < len(volumes)
        for path in found:
            with np.load(path, allow_pickle=False) as file:
                np.testing.assert_array_equal(file["masks"], expected[path.stem])
    done = run(*words, masks, "--overwrite")
    assert done.returncode == 0, done.stdout
    for name, whole in expected.items():
        with np.load(masks / f"{name}.npz") as file:
            np.testing.assert_array_equal(file["masks"], whole)
