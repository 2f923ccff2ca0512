"""Inputs that fuzzing found, handed in again: each ends in an answer or in a refusal."""

import pytest
from fuzz.doors import CORPUS, DOORS, answer, corpus, seeds


@pytest.mark.parametrize("door", DOORS)
def test_what_the_fuzzer_found_is_still_answered(door, tmp_path):
    refusals = set()
    for number, content in enumerate(corpus(door)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        refusals.add(answer(door, content, folder))
    assert len(refusals) > 1, "a corpus in which all is answered alike shows little"


@pytest.mark.parametrize("door", DOORS)
def test_the_fuzzer_begins_with_inputs_of_which_one_is_accepted(door, tmp_path):
    answers = []
    for number, content in enumerate(seeds(door, tmp_path)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        answers.append(answer(door, content, folder))
    assert "" in answers


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 50_000
