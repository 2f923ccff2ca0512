"""Rules that every notebook keeps, whatever it is about."""

import ast
import getpass
import re
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from exercises import NOTEBOOKS, names_in, outputs
from papermill import inspect_notebook

from skullnb.report.chapter import PARAMETERS

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "notebooks" / "03-threshold.ipynb"
MOST_LINES = 30
MOST_KILOBYTES = 900
TAGS = {"parameters", "hide-input", "remove-input", "remove-cell", "book-only", "answer"}
TAGS |= {"exercise", "nbval-ignore-output"}
FOLDED = {"hide-input", "remove-input", "remove-cell", "parameters"}
# What a reader of a step's chapter sees done, in a cell that is open.
IN_THE_OPEN = {"02": ".min()", "03": "cv2.threshold(", "04": "cv2.connectedComponents"}
IN_THE_OPEN |= {"05": "cv2.dilate(", "06": "binary_fill_holes("}

# Folders of somebody's machine, on the common systems.
MACHINE_PATH = re.compile(
    r"(?<![\w.:/-])/(?:home|root|Users|tmp|var|private|mnt|work|opt|usr|github)/\w"
    r"|\b[A-Z]:\\\\?\w|site-packages|ipykernel_\d"
)

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def shown(path: Path) -> list[str]:
    """Every text that a stored output holds, pictures left out."""
    texts = []
    for output in outputs(path):
        texts.append(output.get("text", ""))
        data = output.get("data", {})
        texts += [str(one) for kind, one in data.items() if not kind.startswith("image/")]
    return [re.sub(r"base64,[A-Za-z0-9+/=]+", "", text) for text in texts]


def test_it_begins_as_all_others_do(path):
    nbformat.validate(read(path))
    for own, model in zip(read(path).cells[:2], read(MODEL).cells[:2], strict=True):
        assert (own.source, tags(own)) == (model.source, tags(model))
    assert read(path).cells[2].source.startswith("# ")
    assert set().union(*map(tags, read(path).cells)) <= TAGS


def test_papermill_can_tell_what_every_parameter_is_for(path):
    seen = inspect_notebook(path)
    assert {*seen, "nan_background", "border"} == set(PARAMETERS)
    assert all(len(one["help"].split()) >= 3 for one in seen.values())
    usual = {name: ast.literal_eval(one["default"]) for name, one in seen.items()}
    assert usual == {name: PARAMETERS[name] for name in usual}


def test_its_code_is_short_plays_no_tricks_and_does_its_step_in_the_open(path):
    cells = code_cells(path)
    for cell in cells:
        lines = cell.source.splitlines()
        assert len(lines) <= MOST_LINES or not tags(cell) & FOLDED, cell.source
        assert not any(line.startswith(("%", "!")) for line in lines)
        assert not re.search(r"sys\.path|filterwarnings|simplefilter", cell.source)
    calls = re.findall(r"open_chapter\([^)]*\)\)?", "\n".join(cell.source for cell in cells))
    assert calls == [f'open_chapter("{path.stem}", globals())']
    in_the_open = "\n".join(cell.source for cell in cells if not tags(cell) & FOLDED)
    assert IN_THE_OPEN.get(path.stem[:2], "") in in_the_open


def test_a_report_on_other_data_needs_nothing_of_what_it_leaves_out(path):
    left_out: set[str] = set()
    for cell in code_cells(path):
        code = ast.parse(cell.source)
        if "book-only" in tags(cell):
            left_out |= names_in(code, ast.Store)
        else:
            assert not left_out & names_in(code, ast.Load), cell.source
            left_out -= names_in(code, ast.Store)


def test_outputs_are_stored_as_after_one_run_without_a_warning(path):
    cells = code_cells(path)
    ignored = [cell for cell in cells if {"nbval-ignore-output", "nbval-skip"} & tags(cell)]
    assert 3 * len(ignored) <= len(cells), "too many escape the comparison"
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        body = ast.parse(cell.source).body
        last = ast.unparse(body[-1]) if body and isinstance(body[-1], ast.Expr) else "None"
        if "record(" not in last and not last.endswith("None"):
            assert cell.outputs, f"no output is stored for:\n{cell.source}"
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.get("text")


def test_no_trace_of_a_run_or_of_a_machine_is_stored(path):
    notebook = read(path)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    here = [str(ROOT), str(Path.home())]
    with suppress(KeyError, OSError):  # some containers' users have no name
        here += [getpass.getuser()] * (len(getpass.getuser()) > 4)
    for text in shown(path):
        assert not MACHINE_PATH.search(text), MACHINE_PATH.search(text)
        assert not any(name in text for name in here if len(name) > 1)


def test_every_picture_is_numbered_in_order_and_says_what_it_shows(path):
    numbered = []
    for one in outputs(path):
        data = one.get("data", {})
        if "image/png" not in data or "application/vnd.skullnb.live" in data:
            continue  # a live figure brings its own words
        about = one["metadata"].get("skullnb")
        assert about, "a picture without number and caption: use chapter.figure"
        assert len(about["alt"].split()) >= 4
        assert len(about["caption"].split()) >= 6
        numbered.append(about["figure"])
    part = f"{int(path.stem[:2])}." if path.stem[:2].isdigit() else ""
    assert numbered == [f"{part}{number}" for number in range(1, len(numbered) + 1)]
    said = set(re.findall(r"\bFigure (\d+\.\d+)", " ".join([prose(path), *shown(path)])))
    assert {one for one in said if one.startswith(part)} <= set(numbered)


def test_answers_are_folded_and_tagged_so_that_students_need_not_have_them(path):
    for cell in read(path).cells:
        assert cell.source.count("<details") == cell.source.count("</details>")
        assert ("answer" in tags(cell)) == ('<details class="answer">' in cell.source), cell.source
    exercises = [cell for cell in code_cells(path) if "exercise" in tags(cell)]
    assert all("..." in cell.source for cell in exercises)
    if path.stem[:2].isdigit() and int(path.stem[:2]) <= 13:
        assert exercises
        assert "## What we still don't know" in prose(path)


def test_its_prose_reads_in_plain_markdown_and_its_links_lead_somewhere(path):
    assert path.stat().st_size <= 1000 * MOST_KILOBYTES
    assert not re.search(r"\{[a-z-]+\}`|^:::|^```\{", prose(path), flags=re.MULTILINE)
    for target in re.findall(r"\]\(([\w./-]+\.(?:ipynb|md))", prose(path) + " ".join(shown(path))):
        assert (path.parent / target).exists(), target
    words = prose(path) + " ".join(shown(path))  # a kernel's width is no distance
    assert not re.search(r"dilat\w+ by (a |about )?\*{0,2}\d+ ?(px|pixels)", words)
