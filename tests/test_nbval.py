"""The stored outputs of all chapters are what the code gives today.

`make test` runs this file with all others, so every notebook is executed once. Alone:
`pytest --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg notebooks`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def nbval(target: Path) -> subprocess.CompletedProcess[str]:
    """Execute notebooks and compare every output with the stored one."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]
    command += ["--nbval", "--nbval-current-env"]
    command += ["--nbval-sanitize-with", str(ROOT / "tests" / "sanitize.cfg"), str(target)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_stored_outputs_are_what_the_code_gives(notebook):
    done = nbval(notebook)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_no_notebook_is_left_out():
    contents = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    chapters = re.findall(r"file: notebooks/([\w-]+)", contents)
    assert [path.stem for path in NOTEBOOKS] == sorted({*chapters, "index"})


# Cells whose outputs differ from one run or machine to the next, and so are not compared.
NOT_COMPARED = {
    "timing.machine()": "times, and what they were measured on",
    "recheck()": "whether the real heads are on this machine",
    "Explorer(": "a widget",
    "NiiVue(": "a widget, where it is installed",
}


def test_nbval_notices_every_number_that_changes_in_a_stored_output():
    script = ROOT / "tests" / "changed_numbers.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["tried"] > 2000
    assert not found["unnoticed"]
    unexplained = [
        cell for cell in found["ignored"] if not any(one in cell for one in NOT_COMPARED)
    ]
    assert not unexplained
