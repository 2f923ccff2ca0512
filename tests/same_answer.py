"""Are masks and numbers the same, whatever versions they are computed with?

`python tests/same_answer.py FOLDER PYTHON...` makes an environment in FOLDER for every line of
`VERSIONS` that one of the interpreters fits, first of the core without numba and then with what
reports take. In each it runs the tests that hold every array to the last bit, and every number and
sentence of whole reports, against the stored ones: with one thread and with two.
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


def run(*command: Path | str, **environment: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def main(folder: str, *given: str) -> None:
    pythons = {run(one, "-c", SHORT).strip(): one for one in given}
    for short, asked in VERSIONS:
        if short not in pythons:
            continue
        pins = lowest() if asked == ("lowest",) else asked
        place = Path(folder) / hashlib.sha256(f"{short} {pins}".encode()).hexdigest()[:8]
        python = place / "bin" / "python"
        run(pythons[short], "-m", "venv", place)
        for extra, names in TESTS.items():
            wanted = (*pins, "hypothesis", "pytest", "pytest-timeout", "-e", f"{ROOT}{extra}")
            run(python, "-m", "pip", "install", "--quiet", *wanted)
            tests = [ROOT / "tests" / f"test_{name}.py" for name in names]
            for threads in ("1", "2"):
                limits = {"OPENCV_FOR_THREADS_NUM": threads, "NUMBA_NUM_THREADS": threads}
                options = ("-q", "--noconftest", "-p", "no:cacheprovider")
                said = run(python, "-m", "pytest", *options, *tests, **limits)
                print(f"{short}, {pins}{extra}, {threads} thread(s):", said.splitlines()[-1])


SHORT = "import sys; print('%d.%d' % sys.version_info[:2])"

if __name__ == "__main__":
    main(*sys.argv[1:])
