import json
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skullnb.errors import InvalidSetting, ReportFailed, UnreadableFile
from skullnb.results import Results, collate, tabulate_runs, versions, write_json

NUMBERS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text()


@given(st.dictionaries(st.text(min_size=1), st.lists(NUMBERS) | NUMBERS))
def test_whatever_is_recorded_survives_json(values):
    results = Results("01-data")
    results.record(**values)
    assert json.loads(json.dumps(results.values, allow_nan=False)) == results.values


def test_numpy_values_become_plain_numbers():
    results = Results("01-data")
    results.record(a=np.float32(0.5), b=np.arange(3), c={"d": (np.int64(1), np.bool_(True))})
    assert results.values == {"a": 0.5, "b": [0, 1, 2], "c": {"d": [1, True]}}


def test_what_json_cannot_hold_is_kept_as_none_and_text():
    results = Results("01-data")
    results.record(nan=math.nan, far=math.inf, near=-math.inf)
    assert results.values == {"nan": None, "far": "inf", "near": "-inf"}


def test_an_unknown_name_lists_the_known_ones():
    results = Results("01-data", values={"iou": 0.5})
    assert results.value("iou") == 0.5
    with pytest.raises(InvalidSetting, match="recorded: iou"):
        results.value("dice")


def test_a_file_is_read_back_as_it_was_written(tmp_path):
    results = Results("05-dilation", {"kernel_width": 26}, {"a.npy": "0" * 64})
    results.record(best_width=26, name="Bär")
    path = results.write(tmp_path / "new")
    assert path.name == "05-dilation.json"
    assert Results.read(path) == results
    assert json.loads(path.read_text(encoding="utf-8"))["versions"] == versions()


def test_chapters_are_collated_by_name(tmp_path):
    for chapter, value in (("03-threshold", 23), ("01-data", 5)):
        one = Results(chapter, {"kernel_width": 26}, {f"{chapter}.npy": "ab"})
        one.record(number=value)
        one.write(tmp_path)
    together = collate(tmp_path)
    assert together["chapters"] == {"01-data": {"number": 5}, "03-threshold": {"number": 23}}
    assert together["inputs"] == {"01-data.npy": "ab", "03-threshold.npy": "ab"}
    assert together["parameters"] == {"kernel_width": 26}


def test_chapters_about_other_images_are_not_brought_together(tmp_path):
    for chapter, sha in (("01-data", "ab"), ("02-normalise", "cd")):
        Results(chapter, {}, {"images": sha}).write(tmp_path)
    with pytest.raises(ReportFailed, match=r"images changed while chapters ran: '02-normalise'"):
        collate(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such thing on this system")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "01-data.json")
    with pytest.raises(UnreadableFile, match=r"01-data.json. is no file of results"):
        collate(tmp_path)


def test_runs_become_rows_whatever_chapters_each_has(tmp_path):
    for run, chapter, values in (
        ("a", "01-data", {"n_slices": 5, "shape": [8, 8]}),
        ("a", "07-metrics", {"mean_iou": 0.5}),
        ("group/b", "01-data", {"n_slices": 9}),
        (".c.partial", "01-data", {"n_slices": 1}),
    ):
        one = Results(chapter, {"images": f"{run}.npy"})
        one.record(**values)
        one.write(tmp_path / run / "results")
    assert tabulate_runs(tmp_path) == [
        {"run": "a", "images": "a.npy", "01-data.n_slices": 5, "07-metrics.mean_iou": 0.5},
        {
            "run": "group/b",
            "images": "group/b.npy",
            "01-data.n_slices": 9,
            "07-metrics.mean_iou": None,
        },
    ]


def test_no_runs_are_said(tmp_path):
    with pytest.raises(UnreadableFile, match="holds the runs"):
        tabulate_runs(tmp_path)


def test_among_many_runs_the_broken_file_is_named_with_its_folder(tmp_path):
    for name in ("sub-01", "sub-02"):
        Results("01-data").write(tmp_path / name / "results")
    (tmp_path / "sub-02" / "results" / "01-data.json").write_text("{")
    with pytest.raises(UnreadableFile, match=r"'sub-02/results/01-data\.json' is not JSON"):
        tabulate_runs(tmp_path)


def test_a_file_gets_its_name_only_when_all_of_it_is_on_the_disk(tmp_path, monkeypatch):
    path = write_json({"a": 1}, tmp_path / "a.json")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_json({"a": 2}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]
