"""The student version: no answer is in it, everything else is, and its exercises still judge."""

from __future__ import annotations

import re
import shutil

import nbformat
import pytest
from click.testing import CliRunner
from exercises import NOTEBOOKS, answer_block, folded, prose, read
from nbclient import NotebookClient

from skullnb.cli import main
from skullnb.report.student import strip_answers, without_answers
from skullnb.teach import UNANSWERED

ONE = next(path for path in NOTEBOOKS if path.stem == "03-threshold")

chapters = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def secrets(path):
    """Every paragraph of the answers, and every line of their code."""
    folds = [*folded(path, "answer"), *folded(path, "question")]
    lines = [line.strip() for fold in folds for line in fold["body"].splitlines()]
    return [line for line in lines if len(line) > 12 and not line.startswith("```")]


@pytest.fixture
def student(path, tmp_path):
    copy = tmp_path / path.name
    shutil.copyfile(path, copy)
    strip_answers(copy)
    return copy


@chapters
def test_no_answer_is_left_and_every_question_is(path, student):
    text = student.read_text(encoding="utf-8")
    assert not re.search(r'<details class=\\?"(?:answer|question)', text)
    assert len(secrets(path)) >= 5
    plain = prose(student)
    for secret in secrets(path):
        assert secret not in plain
    for question in folded(path, "question"):
        assert f"\n- {question['summary']}\n" in plain


@chapters
def test_all_code_and_all_figures_stay_and_the_exercise_is_empty(path, student):
    nbformat.validate(read(student))
    before, after = [[c for c in read(p).cells if c.cell_type == "code"] for p in (path, student)]
    assert [cell.source for cell in after] == [cell.source for cell in before]
    for old, new in zip(before, after, strict=True):
        if "exercise" in old.metadata.get("tags", []):
            assert new.outputs == []
            assert new.execution_count is None
        else:
            assert new.outputs == old.outputs


@chapters
def test_its_prose_is_the_chapters_but_for_the_answers(path, student):
    kept = re.sub(
        r'<details class="(?:answer|question)".*?</details>', "", prose(path), flags=re.DOTALL
    )
    folded_away = re.sub(r"^- .*\?$", "", prose(student), flags=re.MULTILINE)
    assert folded_away.split() == re.sub(r"^- .*\?$", "", kept, flags=re.MULTILINE).split()


def test_a_fold_that_holds_no_answer_stays():
    aside = "<details><summary>The proof</summary>\n\nIt is long.\n\n</details>"
    answer = '<details class="answer"><summary>Answer</summary>\n\n42\n\n</details>'
    assert without_answers(f"{aside}\n\n{answer}") == aside
    assert without_answers(answer.replace(' class="answer"', "")) == ""


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """Build a student's report of one chapter with the command."""
    output = tmp_path_factory.mktemp("course") / "student"
    command = ["report", "--student", "--chapter", "03", "--output", str(output)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return output


@pytest.mark.slow
def test_no_file_of_the_handed_out_folder_holds_an_answer(handed_out):
    secret = [re.sub(r"\W+", " ", line) for line in secrets(ONE)]
    read_files = 0
    for path in handed_out.rglob("*"):
        if path.suffix in (".html", ".ipynb", ".json", ".txt", ".md", ".js"):
            text = re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8"))
            text = re.sub(r"\W+", " ", text)
            assert not [one for one in secret if one in text], path.name
            read_files += 1
    assert read_files > 5
    page = (handed_out / "html" / "notebooks" / "03-threshold.html").read_text(encoding="utf-8")
    assert "shuffles all pixels" in page, "the questions are there"
    assert "answer = ..." in re.sub(r"<[^>]+>", "", page), "and so is the exercise"


@pytest.mark.slow
def test_a_students_book_has_no_page_for_teachers(handed_out):
    assert not (handed_out / "html" / "teaching.html").exists()
    assert "teaching.html" not in (handed_out / "html" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_handed_out_notebook_runs_and_judges_what_a_student_writes(handed_out):
    notebook = read(handed_out / "notebooks" / "03-threshold.ipynb")
    (place,) = [
        number
        for number, cell in enumerate(notebook.cells)
        if "exercise" in cell.metadata.get("tags", [])
    ]
    check = notebook.cells[place].source.splitlines()[-1]
    for answer in (answer_block(ONE), "answer = trace.threshold"):
        cell = nbformat.v4.new_code_cell(f"{answer}\n{check}")
        notebook.cells.insert(place + 1, cell)

    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()

    said = [cell.outputs[0].data["text/plain"] for cell in notebook.cells[place : place + 3]]
    assert said[0] == UNANSWERED.text
    assert said[1].startswith("Not yet. That is the level itself")
    assert said[2].startswith("Right. ")


def test_the_plans_for_teachers_take_as_long_as_they_say():
    page = (NOTEBOOKS[0].parents[1] / "book" / "teaching.md").read_text(encoding="utf-8")
    for title, minutes in (("Ninety minutes", 90), ("Half a day", 240)):
        plan = page.partition(f"## {title}")[2].partition("\n## ")[0]
        assert sum(map(int, re.findall(r"^\| (\d+) \|", plan, flags=re.MULTILINE))) == minutes
