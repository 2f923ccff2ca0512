"""Exercises: what is right, what a wrong answer is told, and that pages and notebooks agree."""

import ast
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exercises import NOTEBOOKS, answer_block, cells, small_head, state_before_exercise, verdict
from nbformat.v4 import new_code_cell, new_notebook, new_output

from skullnb import heads
from skullnb.pipeline import normalise
from skullnb.report import pages, teach
from skullnb.report.build import strip_answers
from skullnb.report.chapter import SVG, open_chapter

CHECKS = {name: getattr(teach, name) for name in dir(teach) if name.startswith("check_")}
TRIED = (None, -1, 0.5, 26, 1e9, "dilate", [[0, 255]], np.nan)
EXERCISES = [path for path in NOTEBOOKS if cells(path, "exercise")]
each_check = pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
each_exercise = pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def chapter():
    return open_chapter("03-threshold")


@pytest.fixture(scope="module", params=["flat", "one slice", "no tissue inside", "tiny"])
def odd(request, tmp_path_factory):
    rows, columns = np.mgrid[:40, :50]
    images = {
        "flat": np.full((2, 20, 30), 7),
        "one slice": small_head(1)[0],
        "no tissue inside": np.where(rows < 12, 1.0, 0.0) + 0.001 * columns,
        "tiny": np.arange(6.0).reshape(2, 3),
    }
    path = tmp_path_factory.mktemp("odd") / "odd.npy"
    np.save(path, images[request.param])
    return open_chapter("03-threshold", {"images": str(path)})


@each_check
def test_three_dots_are_no_answer_and_no_answer_stops_a_notebook(check, chapter, odd):
    assert check(..., chapter).text == teach.UNANSWERED
    for answer in TRIED:
        said = check(answer, odd)
        assert re.match(r"(Right|Not yet)\. \S", said.text), said
        assert said.right == said.text.startswith("Right")


LEVELS = normalise(SLICE := heads.load("studyforrest").images[8])
SHARE = (SLICE - float(SLICE.min())) / (float(SLICE.max()) - float(SLICE.min()))


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("check_normalise", LEVELS, "Right"),
        ("check_normalise", LEVELS.astype(int), "stored as another type"),
        ("check_normalise", SHARE, "at 1 or below"),
        ("check_normalise", 255 * SHARE, "still have decimals"),
        ("check_data", 23.36, "per cent"),
        ("check_data", 0.5, "above the median by definition"),
        ("check_threshold", 85, "the level itself"),
        ("check_threshold", 5, "Too low"),
        ("check_components", 44, "touching is enough"),
        ("check_dilation", 51, "Right. It is odd"),
        ("check_dilation", 26, "smaller distance"),
        ("check_dilation", 52, "its middle pixel reaches nowhere"),
        ("check_metrics", np.ones((3, 3)), "14 x 14"),
        ("check_metrics", np.zeros((14, 14)), "smaller or larger than the square"),
        ("check_evidence", ["dilate"], "Without 'dilate' the mask of 16 slices"),
        ("check_evidence", ["colour"], "No rule is called 'colour'"),
        ("check_validation", 149, "Right. Volumes, not slices"),
        ("check_validation", 5, "still above 2%"),
        ("check_validation", 150, "rule of three"),
        ("check_other_heads", 1, "which rule looks at that"),
        ("check_timing", 1e6, "Fewer would do"),
        ("check_explore", 85, "go up from there"),
        ("check_explore", None, "There is such a level"),
        ("check_your_data", "first", "One number is asked for"),
    ],
)
def test_a_likely_mistake_is_named(name, answer, said, chapter):
    verdict = CHECKS[name](answer, chapter)
    assert verdict.right == said.startswith("Right")
    assert said in verdict.text


@pytest.fixture(params=["", "phantom"])
def asked(request, monkeypatch):
    """What the pages of a report ask, by the name of the check."""
    monkeypatch.setenv(SVG, "1")
    chapter = open_chapter("03-threshold", {"images": request.param})
    found = {name: check(..., chapter).page for name, check in CHECKS.items()}
    return {name: page for name, page in found.items() if page}


def test_no_hint_gives_the_answer_away(asked):
    for name, page in asked.items():
        (verb, values, _, _), *others = page["pairs"]
        numbers = {f"{value:,.4g}" for value in values if not isinstance(value, str)}
        for *_, sentence in others:
            words = set(re.findall(r"\d[\d,.]*\d|\d", sentence))
            assert verb != "is" or not numbers & words, (name, sentence)


def test_a_page_holds_a_form_and_no_answer_where_it_is_a_students_or_run_by_hand(
    chapter, monkeypatch
):
    def notebook() -> Any:
        data = teach.check_validation(..., chapter)._repr_mimebundle_()
        output = new_output("execute_result", data=data, execution_count=1)
        tags = {"tags": ["exercise"]}
        return new_notebook(cells=[new_code_cell("answer = ...", outputs=[output], metadata=tags)])

    monkeypatch.delenv(SVG, raising=False)
    assert set(notebook().cells[0].outputs[0].data) == {"text/plain", "text/markdown"}
    monkeypatch.setenv(SVG, "1")
    own, students = notebook(), notebook()
    strip_answers(students)
    for one in (own, students):
        pages.publish(one, str, {})
    form = r'^<form class="exercise" data-exercise="([^"]*)">'
    [page] = re.findall(form, own.cells[0].outputs[0].data["text/html"])
    assert json.loads(unescape(page))["pairs"][0][:2] == ["is", [149]]
    assert "149" not in json.dumps(students)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("asked", [""], indirect=True)
def test_the_page_says_what_python_says(chromium, chapter, asked, tmp_path):
    rng = np.random.default_rng(11)
    script = Path(__file__).resolve().parents[1] / "book" / "assets" / "exercise.js"
    forms = "".join(map(teach.exercise_html, asked.values()))
    head = f'<!doctype html><meta charset="utf-8"><script>{script.read_text("utf-8")}</script>'
    (tmp_path / "page.html").write_text(head + forms, encoding="utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    for name, one in asked.items():
        known = [value for _, values, _, _ in one["pairs"] for value in values]
        if one["choices"]:
            tried: list[Any] = [list(rng.permutation(known)[:n]) for n in (0, 1, 2, 3, 4, 6)]
        else:
            near = [value + step for value in known for step in (0, 0.004, -1)]
            tried = [float(value) for value in [*near, *rng.normal(0, 200, 9)] if value < 1e15]
        judge = "([tried, pairs]) => tried.map((one) => skullnbExercise.judge(one, pairs))"
        for answer, said in zip(tried, page.evaluate(judge, [tried, one["pairs"]]), strict=True):
            opening = "Right. " if said["right"] else "Not yet. "
            assert opening + said["text"] == CHECKS[name](answer, chapter).text, (name, answer)
    typed = {"0.25": 0.25, "1/4": 0.25, "25 %": 0.25, "1,234": 1234, "0,5": 0.5, "1e3": 1000}
    assert page.evaluate("(all) => all.map(skullnbExercise.number)", [*typed]) == [*typed.values()]
    wrong = "['', 'seven', '1/', '--'].map(skullnbExercise.number).every(Number.isNaN)"
    assert page.evaluate(wrong)
    form = page.locator("form.exercise", has=page.get_by_label("dilate"))
    form.get_by_label("dilate").check()
    form.get_by_role("button", name="Check").press("Enter")
    said = form.get_by_role("status").inner_text()
    assert said == "Not yet. Without 'dilate' the mask of 16 slices is another one."
    page.close()


@each_exercise
def test_it_has_one_exercise_with_three_dots_and_a_check(path):
    (cell,) = cells(path, "exercise")
    *_, blank, check = ast.parse(cell.source).body
    assert ast.unparse(blank) == "answer = ..."
    asked = re.search(r"^answer = \.\.\.  # \w+", cell.source, re.M)
    assert asked, "say what is asked for, and its unit"
    assert re.fullmatch(r"teach\.check_\w+\(answer, chapter\)", ast.unparse(check))
    (output,) = cell.outputs
    assert output.data["text/plain"] == teach.UNANSWERED
    assert teach.MIME not in output.data


@pytest.mark.parametrize("is_built_in", [True, False])
@pytest.mark.parametrize("path", [*filter(answer_block, EXERCISES)], ids=lambda path: path.stem)
def test_its_own_answer_is_right(path, is_built_in, tmp_path):
    np.save(tmp_path / "small.npy", small_head())
    data = {} if is_built_in else {"images": str(tmp_path / "small.npy")}
    said = verdict(path, state_before_exercise(path, **data), answer_block(path))
    assert said.right, said
