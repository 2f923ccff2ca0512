"""A report takes its name only where nobody loses anything, not even in the minutes it takes."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from skullnb.batch.workplace import take_lock
from skullnb.errors import InvalidSetting
from skullnb.report import build, build_report, place
from skullnb.report.clean import path_scrubber
from skullnb.report.place import MARKER, check_output, put_in_place, tidy, workplace


def older_report(folder):
    folder.mkdir()
    (folder / MARKER).touch()
    (folder / "page").write_text("older")
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("overwrite", "message"), [(False, "not empty"), (True, "not a skullnb report")]
)
def test_what_appeared_at_the_name_while_the_report_was_made_stays(tmp_path, overwrite, message):
    output = tmp_path / "report"
    with workplace(output) as work:
        output.mkdir()
        (output / "thesis.tex").write_text("mine")
        with pytest.raises(InvalidSetting, match=message):
            put_in_place(work, output, overwrite)
    assert names(tmp_path) == ["report"]
    assert (output / "thesis.tex").read_text() == "mine"


def test_a_report_that_appeared_meanwhile_is_replaced_only_if_asked(tmp_path):
    output = tmp_path / "report"
    with workplace(output) as work:
        older_report(output)
        with pytest.raises(InvalidSetting, match="--overwrite"):
            put_in_place(work, output)
    assert (output / "page").read_text() == "older"
    with workplace(output) as work:
        put_in_place(work, output, overwrite=True)
    assert (names(tmp_path), names(output)) == (["report"], [MARKER])


def test_a_name_that_no_pages_can_be_made_under_is_refused_before_the_work(tmp_path):
    with pytest.raises(InvalidSetting, match=r"holds \[ and \], where no pages"):
        check_output(tmp_path / "r[1]" / "out", overwrite=True)


def test_a_folder_that_can_not_be_renamed_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda self: self == tmp_path / "disk")
    with pytest.raises(InvalidSetting, match="'disk' is where a disk is mounted"):
        check_output(tmp_path / "disk", overwrite=True)
    check_output(tmp_path / "disk" / "report", overwrite=True)


def test_a_user_without_a_home_can_make_a_report(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    assert path_scrubber([Path("/data/anna")])("/data/anna/scan.npy") == "scan.npy"


def fail_to_take(monkeypatch, name_taken_by=None):
    """Let the finished report not get its name, perhaps because something else has it by then."""
    rename = Path.rename

    def renamed(self, target):
        if self.suffix == ".partial":
            if name_taken_by:
                target.mkdir()
                (target / name_taken_by).touch()
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renamed)


def test_an_older_report_is_given_back_when_the_new_one_does_not_get_its_name(
    tmp_path, monkeypatch
):
    output = older_report(tmp_path / "report")
    fail_to_take(monkeypatch)
    with pytest.raises(OSError, match="No space"), workplace(output) as work:
        put_in_place(work, output, overwrite=True)
    assert names(tmp_path) == ["report"]
    assert (output / "page").read_text() == "older"


def test_an_older_report_whose_name_was_taken_waits_until_the_name_is_free(tmp_path, monkeypatch):
    output = older_report(tmp_path / "report")
    fail_to_take(monkeypatch, "thesis.tex")
    with pytest.raises(OSError, match="No space"), workplace(output) as work:
        put_in_place(work, output, overwrite=True)
    tidy(output)
    assert names(output) == ["thesis.tex"]
    output.rename(tmp_path / "mine")
    tidy(output)
    assert names(tmp_path) == ["mine", "report"]
    assert (output / "page").read_text() == "older"


def test_an_older_report_that_waits_is_dropped_when_another_report_has_its_name(
    tmp_path, monkeypatch
):
    output = older_report(tmp_path / "report")
    fail_to_take(monkeypatch, MARKER)
    with pytest.raises(OSError, match="No space"), workplace(output) as work:
        put_in_place(work, output, overwrite=True)
    tidy(output)
    assert (names(tmp_path), names(output)) == (["report"], [MARKER])


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Two scans, one of them in an older report, and nothing that runs."""
    monkeypatch.chdir(tmp_path)
    older_report(tmp_path / "report")
    (tmp_path / "x").mkdir()
    for path in ("scan.npy", "report/inside.npy"):
        np.save(path, np.random.default_rng(0).random((2, 16, 16)))
    Path("link.npy").symlink_to("report/inside.npy")
    Path("report/labels.txt").write_text("a\nb\n")

    def started(*_):
        raise AssertionError("a chapter was started")

    monkeypatch.setattr(build, "run_chapters", started)


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    "given",
    [
        {"images": "report/inside.npy"},
        {"images": "link.npy"},
        {"images": "x/../report/inside.npy"},
        {"images": "report/*.npy"},
        {"images": "l*.npy"},
        {"images": "report"},
        {"images": "scan.npy", "reference": "link.npy"},
        {"images": "scan.npy", "groups": "x/../report/labels.txt"},
    ],
)
def test_data_in_the_folder_to_be_replaced_is_refused_however_it_is_called(given):
    if "reference" in given:
        np.save("report/inside.npy", np.zeros((2, 16, 16), np.uint8))
    with pytest.raises(InvalidSetting, match="lies in the output folder 'report'"):
        build_report(**given, output_dir="report", overwrite=True)
    assert "page" in names(Path("report"))


@pytest.mark.usefixtures("data")
def test_a_link_to_a_folder_is_filled_where_it_leads(monkeypatch, tmp_path):
    Path("named").symlink_to("report")
    (tmp_path / "report" / "inside.npy").unlink()

    def started(chapters, parameters, work, workers):
        raise InterruptedError(work)

    monkeypatch.setattr(build, "run_chapters", started)
    with pytest.raises(
        InterruptedError, match=rf"^{re.escape(str(tmp_path))}/\.report-\w+\.partial$"
    ):
        build_report("scan.npy", output_dir="named", overwrite=True)


def test_what_a_killed_run_wrote_after_it_was_tidied_up_goes_too(tmp_path):
    late = tmp_path / ".report-0123abcd.partial" / "results"
    late.mkdir(parents=True)
    other = tmp_path / ".report-2-0123abcd.partial"
    other.mkdir()
    tidy(tmp_path / "report")
    assert names(tmp_path) == [other.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
def test_a_lock_is_held_until_it_is_gone_or_who_waits_for_it_would_have_it(monkeypatch, tmp_path):
    (tmp_path / ".report-0123abcd.lock").touch()
    unlock, is_free = place._unlock, []

    def late(path):
        with path.open("ab") as waiting:
            is_free.append(take_lock(waiting))
        unlock(path)

    monkeypatch.setattr(place, "_unlock", late)
    tidy(tmp_path / "report")
    assert is_free == [False]
    assert names(tmp_path) == []


def test_a_run_that_another_meets_as_it_begins_is_not_tidied_up_later(monkeypatch, tmp_path):
    output, taken = tmp_path / "report", []

    def late(lock):
        taken.append(lock)
        if len(taken) == 1:
            tidy(output)  # finds a lock that nobody has taken yet
        return take_lock(lock)

    monkeypatch.setattr(place, "take_lock", late)
    with workplace(output) as work:
        tidy(output)
        assert work.is_dir()
