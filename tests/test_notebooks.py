"""Rules that every chapter keeps, whatever it is about."""

from __future__ import annotations

import ast
import getpass
import re
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from papermill import inspect_notebook

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETERS = {
    "images": ("str", ""),
    "reference": ("str", ""),
    "groups": ("str", ""),
    "spacing_mm": ("str", ""),
    "slices": ("str", ""),
    "axis": ("str", "axial"),
    "kernel_width": ("int", 26),
    "output_dir": ("str", ""),
}
MOST_LINES = 20
MOST_KILOBYTES = 700
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")

# Folders of somebody's machine, on the common systems.
MACHINE_PATH = re.compile(
    r"(?<![\w.:/-])/(?:home|root|Users|tmp|var|private|mnt|work|opt|usr|github)/\w"
    r"|\b[A-Z]:\\\\?\w|site-packages|ipykernel_\d"
)

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def shown(path: Path) -> list[str]:
    """Every text that a stored output holds, pictures left out."""
    texts = []
    for cell in code_cells(path):
        for output in cell.outputs:
            texts.append("".join(output.get("text", "")))
            for kind, content in output.get("data", {}).items():
                if kind not in PICTURES:
                    texts.append(re.sub(r"base64,[A-Za-z0-9+/=]+", "", str(content)))
    return texts


def test_it_is_a_valid_notebook(path):
    nbformat.validate(read(path))


def test_it_has_the_eight_parameters_and_nothing_else_is_tagged_so(path):
    tagged = [cell for cell in code_cells(path) if "parameters" in tags(cell)]
    assert len(tagged) == 1
    found = {}
    for statement in ast.parse(tagged[0].source).body:
        assert isinstance(statement, ast.AnnAssign), "type hints make papermill's help"
        name, hint = ast.unparse(statement.target), ast.unparse(statement.annotation)
        found[name] = (hint, ast.literal_eval(statement.value))
    assert found == PARAMETERS


def test_papermill_can_tell_what_every_parameter_is_for(path):
    seen = inspect_notebook(path)
    assert list(seen) == list(PARAMETERS)
    assert all(len(one["help"].split()) >= 3 for one in seen.values())


def test_its_parameters_read_as_in_the_other_chapters(path):
    def source(one):
        return next(cell.source for cell in code_cells(one) if "parameters" in tags(cell))

    assert source(path) == source(NOTEBOOKS[0])


def test_it_opens_its_own_chapter_with_all_parameters_and_closes_it_last(path):
    cells = code_cells(path)
    calls = [
        node
        for cell in cells
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "open_chapter"
    ]
    assert len(calls) == 1
    assert ast.literal_eval(calls[0].args[0]) == path.stem
    assert {word.arg: ast.unparse(word.value) for word in calls[0].keywords} == {
        name: name for name in PARAMETERS
    }
    assert cells[-1].source == "chapter.close()"


def test_cells_only_call_the_module(path):
    banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    for cell in code_cells(path):
        tree = ast.parse(cell.source)
        assert not [node for node in ast.walk(tree) if isinstance(node, banned)], cell.source
        for trick in ("sys.path", "filterwarnings", "simplefilter", "%", "!"):
            assert not any(line.startswith(trick) for line in cell.source.splitlines())
        assert "sys.path" not in cell.source
        assert "warnings.filter" not in cell.source


def test_cells_are_short(path):
    lengths = [len(cell.source.splitlines()) for cell in code_cells(path)]
    assert max(lengths) <= MOST_LINES


def test_outputs_are_stored(path):
    for cell in code_cells(path):
        body = ast.parse(cell.source).body
        if isinstance(body[-1], ast.Expr) and not ast.unparse(body[-1]).startswith("chapter.rec"):
            assert cell.outputs, f"no output is stored for:\n{cell.source}"


def test_no_output_is_an_error_or_a_warning(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.get("text")


def test_at_most_a_third_of_the_cells_escape_the_comparison(path):
    cells = code_cells(path)
    ignored = [cell for cell in cells if {"nbval-ignore-output", "nbval-skip"} & set(tags(cell))]
    assert 3 * len(ignored) <= len(cells)


def test_every_picture_says_what_it_shows(path):
    for cell in code_cells(path):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if kinds & set(PICTURES):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 4, f"no alternative text for:\n{cell.source}"


def test_every_picture_stands_beside_a_compared_text(path):
    cells = code_cells(path)
    for index, cell in enumerate(cells):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if kinds & set(PICTURES):
            near = cells[max(0, index - 1) : index + 2]
            texts = [
                output
                for one in near
                if "nbval-ignore-output" not in tags(one)
                for output in one.outputs
                if not set(output.get("data", {})) & set(PICTURES)
            ]
            assert texts, f"nothing that nbval compares stands beside:\n{cell.source}"


def test_no_output_tells_about_somebodys_machine(path):
    texts = shown(path)
    here = [str(ROOT), str(Path.home())]
    with suppress(KeyError, OSError):  # some containers' users have no name
        here += [getpass.getuser()] * (len(getpass.getuser()) > 4)
    for text in texts:
        assert not MACHINE_PATH.search(text), MACHINE_PATH.search(text)
        assert not any(name in text for name in here if len(name) > 1)


def test_no_trace_of_a_run_is_stored(path):
    notebook = read(path)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "mystnb"}, cell.source


def test_its_cells_are_numbered_in_order_as_after_one_run(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


def test_it_is_small_enough_to_read_in_a_browser(path):
    assert path.stat().st_size <= 1000 * MOST_KILOBYTES


def test_it_has_the_parts_of_a_chapter(path):
    text = prose(path)
    assert text.startswith("# ")
    for part in (
        "**What you will learn**",
        "**Before this**",
        "**Time**",
        "## Exercise",
        "<summary>Answer</summary>",
        "## What we still don't know",
    ):
        assert part in text, part
    assert text.count("<details") == text.count("</details>")


def test_its_links_to_other_chapters_lead_somewhere(path):
    for target in re.findall(r"\]\(([\w-]+\.ipynb)", prose(path)):
        assert (path.parent / target).exists(), target


def test_its_prose_reads_in_plain_markdown(path):
    assert not re.search(r"\{[a-z-]+\}`|^:::|^```\{", prose(path), flags=re.MULTILINE)


def test_it_never_takes_the_kernel_width_for_a_distance(path):
    words = prose(path) + " ".join(shown(path))
    assert not re.search(r"dilat\w+ by (a |about )?\*{0,2}\d+ ?(px|pixels)", words)
