import csv
import os
import re
import sys

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from skullnb import __version__
from skullnb.cli import main
from skullnb.phantom import VARIANTS, published_stack
from skullnb.pipeline import create_skull_mask
from skullnb.report import Report
from skullnb.results import Results

HEAD = np.zeros((4, 40, 48))
HEAD[:, 12:28, 14:34] = 1.0


def run(*words, expect=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == expect, result.output
    return result


def refused(*words):
    """Exit code 2, and one sentence on stderr without a traceback."""
    result = run(*words, expect=2)
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert result.stderr.count("Error: ") == 1
    return result.stderr


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "scan.npy", HEAD)
    np.save(tmp_path / "reference.npy", (HEAD > 0).astype(np.uint8))
    volume = np.transpose(HEAD, (2, 1, 0))
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 3, 1])), tmp_path / "scan.nii.gz")
    return tmp_path


def test_the_version_is_said():
    assert __version__ in run("--version").stdout


@pytest.mark.parametrize(
    "command", ["report", "mask", "sweep", "bench", "evidence", "phantom", "heads", "lab"]
)
def test_every_command_teaches_by_example(command):
    text = run(command, "--help").stdout
    assert f"skullnb {command}" in text
    assert len(text.splitlines()[0]) > 0


def test_a_mask_is_written_on_the_grid_of_its_image(folder):
    result = run("mask", folder / "scan.nii.gz", "-o", folder / "mask.nii.gz", "--kernel-width", 3)
    written = nib.load(folder / "mask.nii.gz")
    np.testing.assert_array_equal(written.affine, np.diag([-1, -1, 3, 1]))
    assert written.get_data_dtype() == np.uint8
    expected = create_skull_mask(HEAD[0], 3)
    np.testing.assert_array_equal(np.asarray(written.dataobj)[:, :, 0].T, expected)
    heading, line, summary = result.stdout.splitlines()
    assert heading.split() == ["status", "slices", "Otsu", "edge", "area", "time", "volume"]
    assert re.fullmatch(
        rf"4 warned +4 +0 +0 +{4 * expected.sum()} px +\d+\.\d s  scan -> mask.nii.gz", line
    )
    assert summary.startswith("1 volume: 1 with warnings; in ")


def test_only_the_chosen_slices_get_a_mask(folder):
    run("mask", folder / "scan.nii.gz", "-o", folder / "mask.nii.gz", "--slices", "1:3")
    filled = np.asarray(nib.load(folder / "mask.nii.gz").dataobj).any(axis=(0, 1))
    assert filled.tolist() == [False, True, True, False]


def test_a_folder_of_scans_gives_a_folder_of_masks(folder):
    scans = folder / "scans"
    scans.mkdir()
    for name in ("a", "b"):
        np.save(scans / f"{name}.npy", HEAD)
    run("mask", scans, "-o", folder / "masks")
    assert sorted(path.name for path in (folder / "masks").iterdir()) == [
        "a_mask.npy",
        "b_mask.npy",
    ]


def test_warnings_and_empty_masks_are_said(folder):
    images = HEAD.copy()
    images[2] = 7.0
    np.save(folder / "flat.npy", images)
    result = run("mask", folder / "flat.npy", "-o", folder / "mask.npy")
    assert re.search(r"^1 empty, 3 warned +4 ", result.stdout, re.M)
    assert "1 volume: 1 with empty masks and warnings" in result.stdout
    assert "flat, slice 2: the mask is empty: the slice is flat" in result.stderr


def test_nothing_of_the_users_is_overwritten_unless_asked(folder):
    words = ("mask", folder / "scan.npy", "-o", folder / "reference.npy")
    before = (folder / "reference.npy").read_bytes()
    assert "exists already" in refused(*words)
    assert (folder / "reference.npy").read_bytes() == before
    run(*words, "--overwrite")
    assert (folder / "reference.npy").read_bytes() != before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("mask", "none.nii.gz", "-o", "m.nii.gz"), "no file or folder"),
        (("mask", "scan.npy"), "Missing option '-o'"),
        (("mask", "scan.npy", "-o", "m.xyz"), "not written"),
        (("mask", "scan.npy", "-o", "nowhere/m.npy"), "no folder"),
        (("mask", "scan.npy", "-o", "m.npy", "--kernel-width", "-3"), "whole number of pixels"),
        (("mask", "scan.npy", "-o", "m.npy", "--kernel-width", "x"), "not a valid integer"),
        (("mask", "scan.npy", "-o", "m.npy", "--slices", "7:9"), "slice"),
        (("mask", "scan.npy", "-o", "m.npy", "--axis", "left"), "'left' is not one of"),
        (("mask", "scan.npy", "-o", "m.npy", "--spacing", "0"), "spacing"),
        (("sweep", "--images", "scan.npy"), "reference mask"),
        (("sweep", "--reference", "reference.npy"), "images is not"),
        (("sweep", "--widths", "wide"), "not understood"),
        (("phantom",), "-o"),
        (("phantom", "-o", "p.npz", "--variant", "none"), "none"),
        (("phantom", "-o", "p.npz", "--variant", "bridge", "--seed", "1"), "not both"),
        (("phantom", "-o", "p.npz", "--n-slices", "2"), "--seed"),
        (("phantom", "-o", "p.txt"), "not written"),
        (("report", "--images", "none.npy"), "no file or folder"),
        (("report", "--chapter", "99"), "99"),
        (("lab", "--images", "none.npy"), "no file or folder"),
    ],
)
def test_bad_input_ends_in_one_sentence(folder, monkeypatch, words, sentence):
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    assert sentence in refused(*words)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_bad_pixel_is_said_with_its_slice(folder, monkeypatch):
    monkeypatch.chdir(folder)
    images = HEAD.copy()
    images[3, :2, :2] = np.nan
    np.save("bad.npy", images)
    assert "Slice 3 has 4 of 1920 pixels that are NaN" in refused("mask", "bad.npy", "-o", "m.npy")
    assert not (folder / "m.npy").exists()


def test_an_unwritable_folder_is_said(folder, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", "secret/m.npy")

    monkeypatch.setattr("skullnb.masking.write_masks", denied)
    sentence = refused("mask", folder / "scan.npy", "-o", folder / "m.npy")
    assert "Cannot read or write 'm.npy': Permission denied." in sentence


def test_the_sweep_of_the_phantom_stars_the_published_width(tmp_path):
    result = run("sweep", "--widths", "24,26,28", "--csv", tmp_path / "sweep.csv")
    starred = [line for line in result.stdout.splitlines() if line.endswith("*")]
    assert len(starred) == 1
    assert starred[0].startswith("  26 px")
    assert len((tmp_path / "sweep.csv").read_text().splitlines()) == 1 + 3 * 5
    assert "is there already" in refused("sweep", "--csv", tmp_path / "sweep.csv")


def test_the_phantom_is_written_and_read_back(tmp_path):
    run("phantom", "-o", tmp_path / "p.npz")
    stored = np.load(tmp_path / "p.npz", allow_pickle=False)
    np.testing.assert_array_equal(stored["images"], published_stack().images)
    np.testing.assert_array_equal(stored["reference"], published_stack().reference)
    assert "IoU" in run("sweep", "--images", tmp_path / "p.npz", "--widths", "26").stdout


def test_a_phantom_in_nifti_has_its_reference_beside_it(tmp_path):
    run("phantom", "--seed", 3, "--n-slices", 2, "-o", tmp_path / "head.nii.gz")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["head.nii.gz", "head_reference.nii.gz"]
    result = run(
        "sweep",
        "--images",
        tmp_path / "head.nii.gz",
        "--reference",
        tmp_path / "head_reference.nii.gz",
        "--widths",
        "24,26",
    )
    assert "2 slices" in result.stdout


def test_the_variants_are_listed():
    listed = run("phantom", "--list").stdout
    assert all(re.search(rf"^{re.escape(name)}\s", listed, re.M) for name in VARIANTS)


@pytest.mark.parametrize(("command", "room"), [("report", "report.build"), ("lab", "lab")])
def test_a_missing_extra_is_named(monkeypatch, command, room):
    monkeypatch.setattr(f"skullnb.{room}.find_spec", lambda name: None)
    assert f"pip install 'skullnb[{command}]'" in refused(command)


def test_the_command_line_starts_without_the_heavy_libraries():
    import subprocess

    code = (
        "import sys, skullnb, skullnb.cli; "
        "heavy = {'matplotlib', 'papermill', 'nibabel', 'ipywidgets', 'pydicom', 'tifffile'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_evidence_command_counts_slices_and_says_a_verdict(folder):
    text = run("evidence", folder / "scan.npy", "--kernel-width", 3).stdout
    assert re.search(r"drop edge-touching +never fired, 0 of 4\n", text)
    assert re.search(r"dilate +exercised, changed 4 of 4\n", text)
    assert text.splitlines()[-1].startswith("1 of 6 rules exercised; ")
    assert "synthetic" not in text


def test_the_evidence_command_scores_against_a_reference_and_writes_everything(folder):
    words = ("evidence", folder / "scan.npy", "--reference", folder / "reference.npy", "-o")
    text = run(*words, folder / "out", "--kernel-width", 3).stdout
    assert re.search(r"dilate .* hurts: IoU 0\.\d{4}, without it 1\.0000\n", text)
    values = Results.read(folder / "out" / "evidence.json").values
    assert values["verdict"] in text
    assert values["status"]["dilate"] == "exercised"
    assert values["changes"]["dilate"]["fired"] == [True] * 4
    assert "--overwrite" in refused(*words, folder / "out")
    run(*words, folder / "out", "--overwrite")


def test_a_phantom_added_to_scans_makes_a_rule_synthetic_only(folder):
    words = ("evidence", folder / "scan.npy", "--with-phantom", "thick-soft-tissue-cut")
    text = run(*words).stdout
    assert re.search(r"drop edge-touching +synthetic only, changed 5 of 5 synthetic", text)
    assert text.rstrip().endswith("5 of the 9 slices are synthetic.")
    text = run(*words, "--synthetic").stdout
    assert re.search(r"drop edge-touching +exercised, changed 5 of 9", text)
    assert "scalp-cut-two-sides" in refused("evidence", folder / "scan.npy", "--with-phantom", "x")


def test_the_lab_gets_the_data_and_further_arguments(folder, monkeypatch):
    seen = {}

    def launch(images, reference, **options):
        seen.update(options, images=images)
        return 3

    monkeypatch.setattr("skullnb.lab.launch_lab", launch)
    run("lab", "--images", "a.npy", "--no-browser", "--", "--allow-root", expect=3)
    assert (seen["images"], seen["open_browser"]) == ("a.npy", False)
    assert seen["arguments"] == ("--allow-root",)


@pytest.mark.parametrize(
    ("words", "worker"),
    [
        (("sweep", "--csv"), "skullnb.sweep.sweep_kernel_width"),
        (("evidence", "-o"), "skullnb.evidence.build_ledger"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    folder, monkeypatch, words, worker
):
    def worked(*_, **__):
        raise AssertionError("the work was done in vain")

    monkeypatch.setattr(worker, worked)
    (folder / "a-file").touch()
    assert "Cannot read or write '" in refused(*words, folder / "a-file" / "place")


@pytest.mark.parametrize("words", [("sweep", "--csv"), ("bench", "--quick", "-o")])
def test_no_table_takes_the_place_of_what_it_is_about(folder, tmp_path, words):
    scan, again = tmp_path / "own.npy", tmp_path / "link.npy"
    np.save(scan, np.zeros((2, 30, 30)))
    os.link(scan, again)
    command, *rest = words
    said = refused(command, "--images", scan, "--overwrite", *rest, again)
    assert "is one of the files that all comes from" in said
    assert np.load(scan).shape == (2, 30, 30)


def test_many_runs_become_one_table(tmp_path):
    for run_name in ("sub-01", "sub-02"):
        one = Results("03-threshold", {"kernel_width": 26})
        one.record(lowest=23)
        one.write(tmp_path / "runs" / run_name / "results")
    said = run("collate", tmp_path / "runs", "-o", tmp_path / "numbers.csv").stdout
    assert "2 runs" in said
    lines = (tmp_path / "numbers.csv").read_text().splitlines()
    assert lines[0] == "run,kernel_width,03-threshold.lowest"
    assert lines[2] == "sub-02,26,23"
    assert "is there already" in refused(
        "collate", tmp_path / "runs", "-o", tmp_path / "numbers.csv"
    )
    own = tmp_path / "runs" / "sub-01" / "results" / "03-threshold.json"
    assert "comes from" in refused("collate", tmp_path / "runs", "-o", own, "--overwrite")
    (tmp_path / "none").mkdir()
    assert "No results" in refused("collate", tmp_path / "none", "-o", tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()


def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_a_number_none(tmp_path):
    one = Results("03", {"=p": 1, "images": '=HYPERLINK("x")', "slices": "@a", "axis": "axial"})
    one.record(change=-0.5, worst=float("-inf"), **{"note": "-a", "more": "+b", "path": "a=b"})
    one.write(tmp_path / "=runs" / "+sub" / "results")
    run("collate", tmp_path / "=runs", "-o", tmp_path / "numbers.csv")
    with (tmp_path / "numbers.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "run": "'+sub",
        "'=p": "1",
        "images": '\'=HYPERLINK("x")',
        "slices": "'@a",
        "axis": "axial",
        "03.change": "-0.5",
        "03.worst": "-inf",
        "03.note": "'-a",
        "03.more": "'+b",
        "03.path": "a=b",
    }


WRITERS = {
    "evidence": ("scan.npy", "-o"),
    "collate": ("runs", "-o"),
    "phantom": ("-o",),
    "bench": ("-o",),
    "sweep": ("--widths", "26", "--csv"),
}


@pytest.fixture
def runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("skullnb.bench.bench", lambda *_, **__: {})
    monkeypatch.setattr("skullnb.bench.lines", lambda _: [])
    Results("01-data").write(folder / "runs" / "results")
    return folder


@pytest.mark.parametrize("command", WRITERS)
def test_an_output_whose_name_is_no_text_is_refused_before_it_is_written(runs, command):
    before = sorted(runs.rglob("*"))
    assert "no UTF-8" in refused(command, *WRITERS[command], "place-\udcff.npz")
    assert sorted(runs.rglob("*")) == before


@pytest.mark.parametrize("command", ["evidence", "collate", "phantom", "bench"])
def test_the_name_of_what_was_written_stays_on_its_line(runs, command):
    said = run(command, *WRITERS[command], "two\nlines.npz").stdout
    assert (runs / "two\nlines.npz").exists()
    assert r"two\nlines.npz" in said


def test_a_report_names_every_file_to_open(monkeypatch, tmp_path):
    files = tmp_path / "book.html", tmp_path / "book.pdf"
    done = Report(tmp_path / "index.html", files, tmp_path / "results.json", (), 1.0)
    monkeypatch.setattr("skullnb.report.build_report", lambda *_, **__: done)
    said = run("report", "--single-file", "--pdf", "-o", tmp_path).stdout
    lines = said.splitlines()[1:]
    assert all(line.endswith(f" {one}") for line, one in zip(lines, files, strict=True))
