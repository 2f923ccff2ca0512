"""Are masks and numbers the same, whatever versions they are computed with?

`python tests/same_answer.py FOLDER PYTHON...` makes an environment in FOLDER for every line of
`VERSIONS` that one of the interpreters fits, in a new FOLDER first of the core without numba, then
with what reports take. In each it runs the tests that hold every array to the last bit, and every
number and sentence of whole reports, against the stored ones, with one thread and with two; then
all notebooks on the built-in head, by nbval. The open heads take part where they are.
"""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "": ("unchanged", "pipeline", "signs", "fast", "metrics", "sweep", "evidence", "stack"),
    "[report]": ("unchanged", "unchanged_reports", "fast"),
}

# What is pinned with which Python; "lowest" stands for the bounds in pyproject.toml, and what is
# not pinned is the newest.
VERSIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("3.11", ("lowest",)),
    ("3.11", ("numpy==2.0.*", "opencv-python-headless==4.11.*", "scipy==1.13.*")),
    ("3.11", ("opencv-python-headless==5.*",)),
    ("3.12", ("numpy==2.2.*", "opencv-python-headless==4.12.*")),
    ("3.12", ("opencv-python-headless==4.*", "numba")),
    ("3.13", ("numpy==2.1.*", "opencv-python-headless==4.10.*")),
    ("3.13", ("opencv-python-headless==5.*",)),
    ("3.14", ()),
)


def lowest() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = (re.match(r"(.+?)>=([\d.]+)", one) for one in project["dependencies"])
    return [f"{found[1]}=={found[2]}" for found in bounds if found]


def run(*command: Path | str, **environment: str) -> tuple[bool, str]:
    # Hypothesis knows the variable, times no example then and draws the same ones everywhere.
    words = {"env": {**os.environ, "CI": "1", **environment}, "text": True}
    done = subprocess.run(command, capture_output=True, check=False, **words)
    return done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def main(folder: str, *given: str) -> int:
    pythons = {run(one, "-c", SHORT)[1].strip(): one for one in given}
    pytest, n_failed = ("-m", "pytest", "-q", "-p", "no:cacheprovider"), 0
    nbval = ("--nbval", "--nbval-current-env", "--nbval-sanitize-with", ROOT / "tests/sanitize.cfg")
    for short, asked in VERSIONS:
        if short not in pythons:
            continue
        pins = lowest() if asked == ("lowest",) else asked
        place = Path(folder) / hashlib.sha256(f"{short} {pins}".encode()).hexdigest()[:8]
        python = place / "bin" / "python"
        run(pythons[short], "-m", "venv", place)
        for extra, names in TESTS.items():
            wanted = (*pins, "hypothesis", "joblib", "pytest", "pytest-timeout", "nbval", "-e")
            steps = [("-m", "pip", "install", "--quiet", *wanted, f"{ROOT}{extra}")]
            tests = [ROOT / "tests" / f"test_{name}.py" for name in names]
            steps += [(*pytest, "--noconftest", *tests)] * 2
            steps += [(*pytest, *nbval, ROOT / "notebooks")] * bool(extra)
            for step, threads in zip(steps, ("1", "1", "2", "2"), strict=False):
                limits = {"OPENCV_FOR_THREADS_NUM": threads, "NUMBA_NUM_THREADS": threads}
                fine, said = run(python, *step, **limits)
                n_failed += not fine
                told = said if not fine else (said.splitlines() or [""])[-1]
                print(f"{short}, {pins}{extra}, {threads} thread(s):", told, flush=True)
    return int(n_failed > 0)


SHORT = "import sys; print('%d.%d' % sys.version_info[:2])"

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
