from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skullnb.errors import InvalidSetting
from skullnb.study import cohort
from skullnb.study.cohort import CohortPlan, cohort_scores
from skullnb.study.validation import compare_splits, negative_control, tune_on_each_volume

TINY = CohortPlan(n_subjects=4, n_slices=3, spacing_mm=(1.8, 2.4), widths=tuple(range(2, 10)))
ONE = replace(TINY, n_subjects=1, n_slices=1)


def test_one_thread_or_two_and_the_cache_give_the_same_scores(tmp_path, monkeypatch):
    here = cohort_scores(TINY, workers=1, cache_dir=tmp_path / "a")
    threads = cohort_scores(TINY, workers=2, cache_dir=tmp_path / "b")
    monkeypatch.setattr(cohort, "subject_scores", lambda *_: pytest.fail("drawn again"))
    kept = cohort_scores(TINY, workers=1, cache_dir=tmp_path / "b")
    for other in (threads, kept):
        pd.testing.assert_frame_equal(other, here, check_exact=True)
    assert here.shape == (12, 8)
    assert list(TINY.spacings) == list(dict.fromkeys(here.index.get_level_values("volume")))
    assert all(1.8 <= size <= 2.4 for size in TINY.spacings.values())
    assert sorted(path.suffix for path in (tmp_path / "b").iterdir()) == [".csv"] * 4


def test_a_small_cohort_shows_what_the_chapter_is_about(tmp_path):
    plan = replace(TINY, n_subjects=6, spacing_mm=(0.8, 1.2), widths=tuple(range(3, 20)))
    scores = cohort_scores(plan, cache_dir=tmp_path)
    alone = tune_on_each_volume(scores)
    mean = alone.mean(numeric_only=True)
    assert mean.apparent - mean.elsewhere > 1e-3
    assert mean.apparent - mean.slice_out < 0.2 * (mean.apparent - mean.elsewhere)
    assert alone.chosen.nunique() > 1
    assert compare_splits(scores, plan.spacings).unit.tolist() == ["px"] * 3 + ["mm"] * 3
    control = negative_control(scores)
    assert control.slice_split_is_fooled
    assert control.volume_split_passes


def test_subjects_that_are_kept_are_not_drawn_for_a_larger_cohort(tmp_path, monkeypatch):
    cohort_scores(ONE, cache_dir=tmp_path)
    drawn, draw = [], cohort.subject_scores
    monkeypatch.setattr(cohort, "subject_scores", lambda *a: drawn.append(a[1]) or draw(*a))
    cohort_scores(replace(ONE, n_subjects=2), cache_dir=tmp_path)
    assert drawn == [101]


@pytest.mark.parametrize("damage", [b"", b"{", b"1,2", b"x,y", b"nan," * 7 + b"1", b"\x80\x04N."])
def test_a_damaged_cache_is_made_again(tmp_path, damage):
    first = cohort_scores(ONE, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage)
    pd.testing.assert_frame_equal(cohort_scores(ONE, cache_dir=tmp_path), first)
    assert file.read_bytes() == whole


def test_whatever_decides_the_scores_changes_the_name_they_are_kept_under(monkeypatch):
    name = cohort._digest(TINY, 100)
    assert cohort._digest(replace(TINY, n_subjects=9, first_seed=50), 100) == name
    for change in ({"spread": 0.5}, {"widths": (3, 5)}, {"n_slices": 2}, {"frame_mm": (300, 240)}):
        assert cohort._digest(replace(TINY, **change), 100) != name
    assert cohort._digest(TINY, 101) != name
    with monkeypatch.context() as patched:
        patched.setattr(np, "__version__", "0")
        assert cohort._digest(TINY, 100) != name
    monkeypatch.setattr(cohort, "_source", lambda: "other code")
    assert cohort._digest(TINY, 100) != name


def test_the_code_that_makes_the_scores_is_all_there_to_be_hashed():
    package = Path(cohort.__file__).parents[1]
    assert all((package / name).exists() for name in cohort._SOURCES)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert cohort_scores(ONE, cache_dir=blocked / "below").shape == (1, 8)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_impossible_cohort_is_refused(tmp_path):
    for options in ({"plan": replace(TINY, n_subjects=0)}, {"workers": 0}):
        with pytest.raises(InvalidSetting, match="at least one subject, and one worker"):
            cohort_scores(**{"plan": TINY, "cache_dir": tmp_path, **options})


def test_the_cache_goes_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SKULLNB_CACHE", str(tmp_path))
    assert cohort.cache_folder() == tmp_path
    monkeypatch.delenv("SKULLNB_CACHE")
    assert cohort.cache_folder().is_absolute()
