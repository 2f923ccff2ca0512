"""Processes that end with the one that began them, whatever they have been told to ignore."""

import signal
import subprocess
import sys

import psutil
import pytest

PYTHON = [sys.executable, "-c"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.mark.parametrize(
    ("told", "code"), [("SIG_DFL", -signal.SIGTERM), ("SIG_IGN", 1)], ids=["listens", "ignores it"]
)
def test_a_process_ends_after_what_it_waits_for(told, code):
    lasting = f"""
import signal, time
from skullnb import processes
signal.signal(signal.SIGTERM, signal.{told})
processes._PATIENCE_S = 0.2
processes.end_after(lambda: None)
time.sleep(600)
"""
    assert subprocess.run([*PYTHON, lasting], timeout=300).returncode == code


def test_a_worker_ends_with_a_killed_program_that_ignored_being_told_to():
    program = """
import multiprocessing, os, signal, time
from concurrent.futures import ProcessPoolExecutor
from skullnb.processes import end_with_pool
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_pool)
print(pool.submit(os.getpid).result(), flush=True)
time.sleep(600)
"""
    run = subprocess.Popen([*PYTHON, program], stdout=subprocess.PIPE)
    worker = psutil.Process(int(run.stdout.readline()))
    run.kill()
    run.wait()  # and not for its output, which the worker has too
    run.stdout.close()
    try:
        worker.wait(timeout=30)  # before it would lose its patience
    finally:
        if worker.is_running():
            worker.kill()
