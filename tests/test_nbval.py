"""The stored outputs of all chapters are what the code gives today.

They run once, for the book, and nbval holds what came of it against what is stored, strictly.
`make nbval` runs each by itself instead, as a reader would who has nbval only.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell, IPyNbFile, coalesce_streams

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITIZE = str(ROOT / "tests" / "sanitize.cfg")
# Cells whose outputs differ from one run or machine to the next, and so are not compared.
NOT_COMPARED = {
    "timing.machine()": "times, and what they were measured on",
    "recheck()": "whether the real heads are on this machine",
    "Explorer(": "a widget",
    "NiiVue(": "a widget, where it is installed",
}
every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def cells(request, monkeypatch, notebook) -> list[IPyNbCell]:
    """What nbval sees in a notebook; it compares, and starts no kernel."""
    monkeypatch.setattr(request.config.option, "nbval_sanitize_with", SANITIZE)
    file = IPyNbFile.from_parent(request.session, path=notebook)
    file.setup_sanitize_files()
    return list(file.collect())


@every_notebook
def test_the_stored_outputs_are_what_the_code_gives(cells, notebook, built_book):
    found = nbformat.read(built_book / "notebooks" / notebook.name, as_version=4).cells
    ran = [
        cell
        for cell in found
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.tags
    ]
    for cell, new in zip(cells, ran, strict=True):
        assert new.source == cell.cell.source
        if cell.options["check"]:
            is_same = cell.compare_outputs(coalesce_streams(new.outputs), cell.cell.outputs)
            assert is_same, "\n".join([cell.cell.source, *cell.comparison_traceback])


def test_a_notebook_run_by_itself_gives_them_too():
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "nbval.plugin"]
    command += ["--override-ini=addopts=", "--override-ini=timeout=", "--nbval"]
    command += ["--nbval-current-env", "--nbval-sanitize-with", SANITIZE]
    command += [str(ROOT / "notebooks" / "03-threshold.ipynb")]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_no_notebook_is_left_out():
    contents = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    chapters = re.findall(r"file: notebooks/([\w-]+)", contents)
    assert [path.stem for path in NOTEBOOKS] == sorted({*chapters, "index"})


@every_notebook
def test_nbval_notices_every_number_that_changes_in_a_stored_output(cells, notebook):
    tried = 0
    for cell in cells:
        cell.format_output_compare = lambda *_: None  # how outputs differ is not asked
        outputs = cell.cell.outputs
        if not cell.options["check"]:
            not_known = outputs and not any(one in cell.cell.source for one in NOT_COMPARED)
            assert not not_known, cell.cell.source
            continue
        for i, output in enumerate(outputs):
            for changed, number in each_number_changed(output):
                tried += 1
                is_same = cell.compare_outputs([*outputs[:i], changed, *outputs[i + 1 :]], outputs)
                assert not is_same, number
    assert tried > 20


def each_number_changed(output: NotebookNode) -> Iterator[tuple[NotebookNode, str]]:
    """Yield an output with the last digit of one number changed, and that number's place."""
    texts = output if "text" in output else output.get("data", {})
    for kind in [kind for kind in texts if kind.startswith("text")]:
        for found in re.finditer(r"\d+", texts[kind]):
            start, end = found.span()
            other = str((int(found[0][-1]) + 1) % 10)
            new = {**texts, kind: texts[kind][: end - 1] + other + texts[kind][end:]}
            changed = new if texts is output else {**output, "data": new}
            yield NotebookNode(changed), texts[kind][max(0, start - 20) : end]
