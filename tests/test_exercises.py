"""Every chapter's exercise: its parts, its folded answer, and that the answer is right."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest
from exercises import (
    NOTEBOOKS,
    PYTHON,
    answer_block,
    exercise_cells,
    folded,
    prose,
    small_head,
    state_before_exercise,
    verdict,
)

import skullnb.teach
from skullnb.teach import UNANSWERED

chapters = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def small_stack(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "small.npy"
    np.save(path, small_head())
    return str(path)


def test_every_check_belongs_to_one_chapter():
    checks = sorted(name for name in skullnb.teach.__all__ if name.startswith("check_"))
    sources = [cell.source for path in NOTEBOOKS for cell in exercise_cells(path)]
    assert sorted(re.findall(r"teach\.(check_\w+)", "\n".join(sources))) == checks


@chapters
def test_it_says_what_one_learns_what_one_needs_and_how_long_it_takes(path):
    opening = prose(path).split("\n\n## ")[0]
    learn = opening.partition("**What you will learn**\n\n")[2]
    assert len(re.findall(r"^- \S", learn, flags=re.MULTILINE)) >= 2
    assert re.search(r"\*\*Before this\*\* · \S", opening)
    assert re.search(r"\*\*Time\*\* · \d+ minutes", opening)


@chapters
def test_it_has_one_exercise_with_three_dots_and_a_check(path):
    (cell,) = exercise_cells(path)
    blank, check = ast.parse(cell.source).body
    assert ast.unparse(blank) == "answer = ..."
    assert re.match(r"answer = \.\.\.  # \w+", cell.source), "say what is asked for, and its unit"
    assert re.fullmatch(r"teach\.check_\w+\(answer, chapter\)", ast.unparse(check))
    (output,) = cell.outputs
    assert output.data["text/plain"] == UNANSWERED.text


@chapters
def test_it_has_one_folded_answer_and_three_folded_questions(path):
    text = prose(path)
    assert text.count("<details") == text.count("</details>")
    (answer,) = folded(path, "answer")
    assert answer["summary"] == "Answer"
    assert len(PYTHON.findall(answer["body"])) == 1
    assert "\nanswer = " in "\n" + answer_block(path)
    questions = folded(path, "question")
    assert len(questions) == 3
    for question in questions:
        assert question["summary"].rstrip().endswith("?"), question["summary"]
        assert len(question["body"].split()) >= 5
        assert question["body"].startswith("\n")
        assert question["body"].endswith("\n\n")


@chapters
def test_its_parts_stand_in_order(path):
    text = prose(path)
    parts = ["## Exercise", 'class="answer"', "## Questions", 'class="question"']
    places = [text.index(part) for part in [*parts, "## What we still don't know"]]
    assert places == sorted(places)


@chapters
def test_its_own_answer_is_right_on_the_built_in_head(path):
    state = state_before_exercise(path)
    assert verdict(path, state, "answer = ...") is UNANSWERED
    said = verdict(path, state, answer_block(path))
    assert said.right, said


@chapters
def test_its_own_answer_is_right_on_slices_without_a_reference(path, small_stack):
    state = state_before_exercise(path, images=small_stack)
    said = verdict(path, state, answer_block(path))
    assert said.right, said
