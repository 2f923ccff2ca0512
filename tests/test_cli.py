"""The command: every option, every refusal in a sentence, and surroundings that are no terminal."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import cache, partial
from unittest.mock import Mock

import click
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from real_data import real_data

from skullnb import __version__, cli, heads
from skullnb.cli import main
from skullnb.phantom import VARIANTS, published_stack, variant
from skullnb.report.build import Report

HEAD = np.zeros((4, 40, 48))
HEAD[:, 12:28, 14:34] = 1.0

published = cache(published_stack)
drawn = cache(variant)


@pytest.fixture(autouse=True)
def _drawn_once(monkeypatch):
    """Phantoms take seconds to draw: each once is enough."""
    monkeypatch.setattr("skullnb.phantom.published_stack", published)
    monkeypatch.setattr("skullnb.phantom.variant", drawn)


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
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("scan.npy", HEAD)
    np.save("reference.npy", (HEAD > 0).astype(np.uint8))
    volume = np.transpose(HEAD, (2, 1, 0))
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 3, 1])), "scan.nii.gz")
    return tmp_path


# --- what is asked for --------------------------------------------------------------------------


COMMANDS = ["report", "mask", "sweep", "evidence", "heads", "phantom", "lab", "collate"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_by_example_and_offers_only_what_it_can_do(command):
    text = run(command, "--help").stdout
    assert f"skullnb {command}" in text.split("Usage:")[1].split("\n", 1)[1]
    assert ("dark growth" in text) == (command in ("report", "mask", "evidence", "lab"))


def test_the_help_says_what_is_masked_without_images_and_which_options_are_a_batch_s():
    assert __version__ in run("--version").stdout
    told = " ".join(run("mask", "--help").stdout.split())
    assert "Without IMAGES they are of the head inside the package" in told
    assert 'whose help begins with "Batch:"' in told
    assert "Volumes, or a batch's chunks, side by side" in told


@pytest.mark.parametrize("command", ["report", "mask", "sweep", "evidence", "lab"])
def test_the_words_every_command_shares_are_called_and_told_alike(command):
    shared = {"--spacing", "--slices", "--axis", "--nan-background"}
    shared |= set() if command == "sweep" else {"--kernel-width", "--reach-mm"}
    shared |= set() if command == "mask" else {"--reference", "--groups"}
    told, here = (
        {
            flag: one.help
            for one in main.commands[name].params
            for flag in one.opts
            if flag in shared
        }
        for name in ("evidence", command)
    )
    assert here == told
    assert set(told) == shared


def test_a_reach_and_a_width_are_refused_together_even_where_the_width_is_the_default(folder):
    both = ("--reach-mm", "7.5", "--kernel-width", "26", "--spacing", "1")
    assert "not both" in refused("mask", "scan.npy", "-o", "m.npy", *both)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("mask", "scan.npy", "-o", "m.npy", "--reach-mm", "9.75mm"), "not a valid float"),
        (("mask", "scan.npy", "-o", "m.npy", "--on-warning", "x"), "'x' is not one of"),
        (("evidence", "colin28"), "no file or folder"),
        (("phantom", "-o", "p.npz", "--variant", "bridge", "--seed", "1"), "not both"),
        (("phantom", "-o", "p.npz", "--n-slices", "2"), "--seed"),
        (("lab", "--images", "none.npy", "--", "--allow-root"), "no file or folder"),
        (("heads", "fetch", "colin28"), "'colin28'; there are"),
    ],
)
def test_bad_input_ends_in_one_sentence(folder, words, sentence):
    before = sorted(path.name for path in folder.iterdir())
    assert sentence in refused(*words)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_an_unwritable_folder_is_said(folder, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", "secret/m.npy")

    monkeypatch.setattr("skullnb.stack.read_stack", denied)
    sentence = refused("mask", "scan.npy", "-o", "m.npy")
    assert "Cannot read or write 'm.npy': Permission denied." in sentence


# --- sweep and evidence -------------------------------------------------------------------------


def test_the_sweep_of_the_phantom_stars_the_published_width(folder):
    result = run("sweep", "--images", "phantom", "--widths", "24,26,28", "--csv", "sweep.csv")
    starred = [line for line in result.stdout.splitlines() if line.endswith("*")]
    assert len(starred) == 1
    assert starred[0].startswith("  26 px")
    table = pd.read_csv("sweep.csv")
    assert len(table) == 3 * 5
    assert {"slice", "kernel_width", "iou", "dice"} <= set(table)
    again = refused("sweep", "--images", "phantom", "--csv", "sweep.csv")
    assert "exists already" in again


def test_without_images_it_is_about_the_head_inside_the_package_and_not_called_yours(folder):
    assert "studyforrest: 4 slices" in run("sweep", "--slices", "::4", "--widths", "26").stdout
    said = run("evidence", "--slices", "0:2").stdout
    assert "studyforrest: 2 slices" in said
    assert "value on other heads is unknown" in said
    assert "your data" not in said


def test_the_evidence_command_counts_slices_and_says_a_verdict(folder):
    text = run("evidence", "scan.npy", "--kernel-width", 3).stdout
    assert re.search(r"drop edge-touching +never fired, 0 of 4\n", text)
    assert re.search(r"dilate +exercised, changed 4 of 4\n", text)
    assert re.search(r"^1 of \d rules exercised; ", text.splitlines()[-1])
    assert "synthetic" not in text


def test_the_evidence_command_scores_against_a_reference_and_writes_everything(folder):
    words = ("evidence", "scan.npy", "--reference", "reference.npy", "-o", "out")
    text = run(*words, "--kernel-width", 3).stdout
    assert re.search(r"dilate .* hurts: IoU 0\.\d{4}, without it 1\.0000\n", text)
    told = json.loads((folder / "out" / "evidence.json").read_text())
    assert told["verdict"] in text
    (dilate,) = [rule for rule in told["rules"] if rule["rule"] == "dilate"]
    assert dilate["status"] == "exercised"
    table = pd.read_csv(folder / "out" / "evidence.csv")
    assert table.loc[table["rule"] == "dilate", "fired"].tolist() == [True] * 4
    assert "--overwrite" in refused(*words)
    run(*words, "--overwrite")


def test_a_phantom_added_to_scans_makes_a_rule_synthetic_only(folder):
    words = ("evidence", "scan.npy", "--with-phantom", "thick-soft-tissue-cut")
    text = run(*words).stdout
    assert re.search(r"drop edge-touching +synthetic only, changed 5 of 5 synthetic", text)
    assert text.rstrip().endswith("5 of the 9 slices are synthetic.")
    text = run(*words, "--synthetic").stdout
    assert re.search(r"drop edge-touching +exercised, changed 5 of 9", text)
    assert "scalp-cut-two-sides" in refused("evidence", "scan.npy", "--with-phantom", "x")


# --- phantom and heads --------------------------------------------------------------------------


def test_the_phantom_is_written_and_read_back_and_its_variants_are_listed(folder):
    run("phantom", "-o", "p.npz")
    stored = np.load("p.npz", allow_pickle=False)
    np.testing.assert_array_equal(stored["images"], published().images)
    np.testing.assert_array_equal(stored["reference"], published().reference)
    run("phantom", "--seed", 3, "--n-slices", 2, "-o", "head.nii.gz")
    words = ("--images", "head.nii.gz", "--reference", "head_reference.nii.gz")
    assert "2 slices" in run("sweep", *words, "--widths", "24,26").stdout
    listed = run("phantom", "--list").stdout
    assert all(re.search(rf"^{re.escape(name)}\s", listed, re.M) for name in VARIANTS)


def test_heads_are_listed_and_shown_without_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(tmp_path))
    listed = run("heads", "list").stdout
    for name in heads.HEADS:
        here = "inside" if name == "studyforrest" else "no"
        assert re.search(rf"^{name} .* {here}$", listed, re.M)
    shown = run("heads", "show", "colin27").stdout
    for words in ("GPL-3", "Holmes", "labels.", "not here yet", "standard_mri.mat"):
        assert words in shown
    shown = run("heads", "show", "studyforrest").stdout
    for words in ("PDDL 1.0", "10.1038/sdata.2014.3", "inside the package"):
        assert words in shown
    assert not list(tmp_path.iterdir())


def test_a_head_is_fetched_and_taken_by_its_name(folder, monkeypatch):
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(real_data()))
    said = run("heads", "fetch", "ubermuda-flair").stdout
    assert "CC BY-SA 4.0" in said
    assert str(real_data()) in said
    words = ("--images", "ubermuda-flair", "--slices", "0:2", "--widths", "26")
    assert "ubermuda-flair: 2 slices" in run("sweep", *words).stdout


# --- report, lab, collate -----------------------------------------------------------------------


def test_report_and_lab_get_the_data_under_the_notebooks_names(folder, monkeypatch):
    seen = []

    def built(**options):
        seen.append(options)
        files = (folder / "book.html", folder / "book.pdf")
        return Report(folder / "index.html", files, folder / "results.json", (), 1.0)

    monkeypatch.setattr("skullnb.report.build.build_report", built)
    monkeypatch.setattr("skullnb.report.lab.launch_lab", lambda **options: seen.append(options))
    words = ("--images", "a.npy", "--reach-mm", "7.5", "--axis", "coronal", "--slices", "1:3")
    said = run("report", *words, "--single-file", "--pdf", "-o", folder / "out").stdout
    run("lab", *words, "--no-browser", "--", "--allow-root")
    for options in seen:
        assert (options["images"], options["reach_mm"]) == ("a.npy", 7.5)
        assert (options["axis"], options["slices"], options["reference"]) == ("coronal", "1:3", "")
    assert (seen[0]["output_dir"], seen[0]["single_file"]) == (folder / "out", True)
    assert (seen[1]["open_browser"], seen[1]["arguments"]) == (False, ("--allow-root",))
    assert [line.split()[-1] for line in said.splitlines()[1:]] == [
        str(folder / "book.html"),
        str(folder / "book.pdf"),
    ]


def test_a_chapter_that_failed_is_named_and_told_by_the_exit_code(folder, monkeypatch):
    done = Report(folder / "index.html", (), folder / "results.json", ("05-dilation",), 1.0)
    monkeypatch.setattr("skullnb.report.build.build_report", lambda **_: done)
    assert "05-dilation" in run("report", expect=1).stderr


def test_many_runs_become_one_table_that_no_spreadsheet_runs(folder, monkeypatch):
    table = pd.DataFrame({"run": ["=1+1", "b"], "03.lowest": [-0.5, 23], "=p": ["a=b", "-c"]})
    monkeypatch.setattr("skullnb.report.build.collate", lambda _: table)
    assert "2 runs, 3 columns" in run("collate", ".", "-o", "numbers.csv").stdout
    lines = (folder / "numbers.csv").read_text().splitlines()
    assert lines == ["run,03.lowest,'=p", "'=1+1,-0.5,a=b", "b,23.0,'-c"]
    assert "exists already" in refused("collate", ".", "-o", "numbers.csv")


# --- places -------------------------------------------------------------------------------------


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
    refused(*words, folder / "a-file" / "place")


def test_no_table_takes_the_place_of_what_it_is_about(folder):
    os.link("scan.npy", "link.npy")
    words = ("sweep", "--images", "scan.npy", "--reference", "reference.npy", "--overwrite")
    for own in ("link.npy", "reference.npy"):
        assert "slices came from" in refused(*words, "--csv", own)
    assert np.load("scan.npy").shape == (4, 40, 48)
    (folder / "runs").mkdir()
    (folder / "runs" / "a.json").write_text("{}")
    assert "slices came from" in refused("collate", "runs", "-o", "runs/a.json", "--overwrite")


WRITERS = {
    "mask": ("scan.npy", "-o"),
    "evidence": ("scan.npy", "-o"),
    "collate": (".", "-o"),
    "phantom": ("-o",),
    "sweep": ("--widths", "26", "--csv"),
}


@pytest.mark.parametrize("command", WRITERS)
def test_an_output_whose_name_is_no_text_is_refused_before_it_is_written(
    folder, monkeypatch, command
):
    monkeypatch.setattr("skullnb.report.build.collate", lambda _: pd.DataFrame({"a": [1]}))
    before = sorted(folder.rglob("*"))
    assert "no UTF-8" in refused(command, *WRITERS[command], "place-\udcff.npz")
    assert sorted(folder.rglob("*")) == before


def test_the_name_of_what_was_written_stays_on_its_line(folder):
    said = run("phantom", "--variant", "bridge", "-o", "two\nlines.npz").stdout
    assert (folder / "two\nlines.npz").exists()
    assert r"two\nlines.npz" in said


# --- surroundings -------------------------------------------------------------------------------

COMMAND = [sys.executable, "-c", "from skullnb.cli import main; main()"]
posix = pytest.mark.skipif(os.name == "nt", reason="signals and closed streams of POSIX")


@pytest.mark.parametrize("command", ["report", "lab"])
def test_a_missing_extra_is_named(monkeypatch, command):
    monkeypatch.setattr("skullnb.stack.checks.import_module", Mock(side_effect=ImportError))
    assert f"pip install 'skullnb[{command}]'" in refused(command)


def test_the_command_line_starts_without_the_heavy_libraries():
    code = (
        "import sys, skullnb, skullnb.cli; "
        "heavy = {'matplotlib', 'papermill', 'nibabel', 'ipywidgets', 'pydicom', 'tifffile', "
        "'pandas', 'numba', 'pooch', 'tqdm', 'filelock'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@posix
def test_a_name_is_said_where_there_are_no_letters_for_it(tmp_path):
    np.save(tmp_path / "脳.npy", np.eye(20)[None])
    words = ["mask", "脳.npy", "-o", "m.npy"]
    few_letters = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([*COMMAND, *words], cwd=tmp_path, env=few_letters, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert rb"\u8133" in done.stdout
    assert (tmp_path / "m.npy").exists()


@posix
@pytest.mark.parametrize("options", [[], ["--chunk", "1"]])
def test_the_work_is_done_where_nobody_listens(tmp_path, options):
    np.save(tmp_path / "scan.npy", np.eye(20)[None])
    words = ["mask", "scan.npy", "-o", "m.npy", *options]
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, *words], cwd=tmp_path)
    assert done.returncode == 0
    assert np.load(tmp_path / "m.npy").shape == (1, 20, 20)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_a_bar_is_shown_where_somebody_watches_and_its_line_is_left_clean(
    monkeypatch, stream, shown
):
    monkeypatch.setattr(sys, "stderr", stream())
    with cli.progress_bar(unit=" slices", mininterval=0, total=12) as bar:
        bar.update(12)
    said = sys.stderr.getvalue()
    assert ("slices" in said) == shown
    assert not said.rpartition("\r")[0].rpartition("\r")[2].strip()


def test_who_is_stopped_without_a_terminal_says_so_by_the_code_alone(monkeypatch):
    def gone(*_, **__):
        raise OSError(5, "Input/output error")

    def stop():
        raise KeyboardInterrupt

    group = cli.Command(commands=[click.Command("stop", callback=stop)])
    monkeypatch.setattr("skullnb.cli.click.echo", gone)
    with pytest.raises(SystemExit) as ended:
        group.main(["stop"])
    assert ended.value.code == 130


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_batch_that_is_told_to_stop_keeps_what_is_done_and_says_so(tmp_path, name):
    number = getattr(signal, name)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "scan.npy", rng.integers(0, 99, (400, 300, 300), dtype=np.int16))
    words = ["mask", "scan.npy", "-o", "m.npy", "--chunk", "1", "--workers", "1"]
    listen = partial(signal.signal, number, signal.SIG_DFL)  # these tests may run under nohup
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=listen
    )
    rows = tmp_path / "m.npy.partial" / "rows"
    while process.poll() is None and not list(rows.glob("*.json")):
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 130, said
    assert b"the same command goes on from here" in said
    assert list(rows.glob("*.json"))
    assert not (tmp_path / "m.npy").exists()
