"""The command: every option, every refusal in a sentence, and surroundings that are no terminal."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from unittest.mock import Mock

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from commands import COMMAND, run
from golden_data import real_data

from skullnb import cli, heads
from skullnb.phantom import VARIANTS, published_stack
from skullnb.report.build import Report

HEAD = np.zeros((4, 40, 48))
HEAD[:, 12:28, 14:34] = 1.0


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
    return tmp_path


@pytest.mark.parametrize(
    "command", ["report", "mask", "sweep", "evidence", "heads", "phantom", "lab", "collate"]
)
def test_every_command_teaches_by_example_and_offers_only_what_it_can_do(command):
    text = run(command, "--help").stdout
    assert f"skullnb {command}" in text.split("Usage:")[1].split("\n", 1)[1]
    assert ("dark growth" in text) == (command in ("report", "mask", "evidence", "lab"))
    told = 'whose help begins with "Batch:"' in " ".join(text.split())
    assert told == (command == "mask")


def test_the_sweep_names_the_best_width_of_the_phantom_or_else_of_the_head_inside(folder):
    words = ("sweep", "--images", "phantom", "--widths", "24,26,28", "--csv", "sweep.csv")
    assert "\nBest: 26 px" in run(*words).stdout
    assert len(pd.read_csv("sweep.csv")) == 3 * 5
    assert "exists already" in refused(*words)
    assert "studyforrest: 4 slices" in run("sweep", "--slices", "::4", "--widths", "26").stdout
    said = run("evidence", "--slices", "0:2").stdout
    assert "value on other heads is unknown" in said  # and not on yours


def test_the_evidence_command_counts_slices_scores_them_and_says_a_verdict(folder):
    text = run("evidence", "scan.npy", "--kernel-width", 3).stdout
    assert re.search(r"drop edge-touching +never fired, 0 of 4 +did not fire\n", text)
    assert re.search(r"dilate +exercised, changed 4 of 4 +changes the mask\n", text)
    assert re.search(r"^1 of \d rules exercised; ", text.splitlines()[-1])
    words = ("evidence", "scan.npy", "--reference", "reference.npy", "-o", "out")
    text = run(*words, "--kernel-width", 3).stdout
    assert re.search(r"dilate .* hurts +0\.\d{4} +1\.0000\n", text)
    np.save("two.npy", (HEAD > 0) * np.array([1, 0, 1, 0])[:, None, None])
    sweep = ("sweep", "--images", "scan.npy", "--reference", "two.npy")
    for partly in (sweep, ("evidence", *sweep[2:])):
        assert "Scored on 2 of 4 slices; the reference mask is empty on" in run(*partly).stdout
    assert "empty on every chosen slice; choose others" in refused(*sweep, "--slices", "1,3")
    told = json.loads((folder / "out" / "evidence.json").read_text())
    assert told["verdict"] in text
    assert ("dilate", "exercised") in [(rule["rule"], rule["status"]) for rule in told["rules"]]
    table = pd.read_csv(folder / "out" / "evidence.csv")
    assert table.loc[table["rule"] == "dilate", "fired"].tolist() == [True] * 4
    assert "--overwrite" in refused(*words)
    run(*words, "--overwrite", "--groups", ",".join(one * 90 for one in "abcd"))


def test_a_phantom_added_to_scans_makes_a_rule_synthetic_only(folder):
    words = ("evidence", "scan.npy", "--with-phantom", "thick-soft-tissue-cut")
    text = run(*words).stdout
    assert re.search(r"drop edge-touching +synthetic only, changed 5 of 5 synthetic", text)
    assert text.rstrip().endswith("5 of the 9 slices are synthetic.")
    said = run(*words, "--synthetic").stdout
    assert re.search(r"drop edge-touching +exercised, changed 5 of 9", said)
    assert "scalp-cut-two-sides" in refused("evidence", "scan.npy", "--with-phantom", "x")


def test_the_phantom_is_written_and_read_back_and_its_variants_are_listed(folder):
    run("phantom", "-o", "p.npz")
    stored = np.load("p.npz", allow_pickle=False)
    np.testing.assert_array_equal(stored["images"], published_stack().images)
    np.testing.assert_array_equal(stored["reference"], published_stack().reference)
    run("phantom", "--seed", 3, "--n-slices", 2, "-o", "head.nii.gz")
    words = ("--images", "head.nii.gz", "--reference", "head_reference.nii.gz")
    assert "2 slices" in run("sweep", *words, "--widths", "24,26").stdout
    listed = run("phantom", "--list").stdout
    assert all(re.search(rf"^{re.escape(name)}\s", listed, re.M) for name in VARIANTS)


def test_heads_are_listed_shown_and_fetched(tmp_path, monkeypatch):
    copies = real_data()
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(tmp_path))
    listed = run("heads", "list").stdout
    for name in heads.HEADS:
        here = "  here" if name == "studyforrest" else "not here"
        assert re.search(rf"^{name} .*{here}$", listed, re.M)
    shown = run("heads", "show", "colin27").stdout
    assert not [word for word in ("GPL-3", "Holmes", "labels", "mri.mat") if word not in shown]
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(copies))
    said = run("heads", "fetch", "ubermuda-flair").stdout
    assert "CC BY-SA 4.0" in said
    assert str(copies) in said


def test_report_and_lab_get_the_data_under_the_notebooks_names(folder, monkeypatch):
    files = (folder / "book.html", folder / "book.pdf")
    done = Report(folder / "index.html", files, folder / "results.json", (), 1.0)
    built, opened = Mock(return_value=done), Mock()
    monkeypatch.setattr("skullnb.report.build.build_report", built)
    monkeypatch.setattr("skullnb.report.lab.launch_lab", opened)
    words = ("--images", "a.npy", "--reach-mm", "7.5", "--axis", "coronal", "--slices", "1:3")
    said = run("report", *words, "--single-file", "--pdf", "-o", folder / "out").stdout
    run("lab", *words, "--no-browser", "--", "--allow-root")
    given = {"images": "a.npy", "reach_mm": 7.5, "axis": "coronal", "slices": "1:3", "groups": ""}
    given |= {"reference": "", "spacing_mm": "", "nan_background": False, "border": "dilation"}
    built.assert_called_once()
    assert built.call_args.kwargs.items() >= (given | {"single_file": True}).items()
    assert opened.call_args.kwargs.items() >= (given | {"arguments": ("--allow-root",)}).items()
    assert [line.split()[-1] for line in said.splitlines()[1:]] == [*map(str, files)]
    failed = Report(folder / "index.html", (), folder / "results.json", ("05-dilation",), 1.0)
    monkeypatch.setattr("skullnb.report.build.build_report", lambda **_: failed)
    assert "05-dilation" in run("report", expect=1).stderr


def test_no_table_takes_the_place_of_what_it_is_about(folder, monkeypatch):
    (folder / "groups.csv").write_text("a\na\nb\nb\n")
    os.link("scan.npy", "link.csv")
    words = ("sweep", "--images", "scan.npy", "--reference", "reference.npy", "--overwrite")
    for own in ("link.csv", "groups.csv"):
        assert "slices came from" in refused(*words, "--groups", "groups.csv", "--csv", own)
    (folder / "runs").mkdir()
    (folder / "runs" / "a.json").write_text("{}")
    assert "kind not written" in refused("collate", "runs", "-o", "runs/a.json", "--overwrite")
    monkeypatch.setattr("skullnb.report.build.collate", lambda _: pd.DataFrame({"=a": ["=1"]}))
    assert "1 run, 1 columns" in run("collate", "runs", "-o", "numbers.csv").stdout
    assert (folder / "numbers.csv").read_text().split() == ["'=a", "'=1"]
    assert "exists already" in refused("collate", "runs", "-o", "numbers.csv")


posix = pytest.mark.skipif(os.name == "nt", reason="signals and closed streams of POSIX")


@pytest.mark.parametrize("command", ["report", "lab"])
def test_a_missing_extra_is_named(monkeypatch, command):
    monkeypatch.setattr("skullnb.stack.checks.import_module", Mock(side_effect=ImportError))
    assert f"pip install 'skullnb[{command}]'" in refused(command)


def test_the_command_line_starts_without_the_heavy_libraries():
    heavy = "matplotlib papermill nibabel ipywidgets pydicom tifffile numba pooch tqdm"
    code = f"import sys, skullnb.cli; print({{*{heavy.split()}}} & {{*sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


@posix
def test_names_are_said_where_there_are_no_letters_for_them_and_work_done_where_nobody_listens(
    tmp_path,
):
    np.save(tmp_path / "脳.npy", np.eye(20)[None])
    words = [*COMMAND, "mask", "脳.npy", "-o", "m脳\n.npy"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert rb"m\u8133\n.npy" in done.stdout
    for options in (["-o", "volume.npy"], ["-o", "batch.npy", "--chunk", "1"]):
        words = [*COMMAND, "mask", "脳.npy", *options]
        subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *words], cwd=tmp_path, check=True)
        assert np.load(tmp_path / options[1]).shape == (1, 20, 20)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_a_bar_is_shown_where_somebody_watches_and_its_line_is_left_clean(
    monkeypatch, stream, shown
):
    monkeypatch.setattr(sys, "stderr", stream())
    with cli.progress_bar(" slices") as progress:
        progress(6, 12)
        time.sleep(0.2)
        progress(12, 12)
    said = sys.stderr.getvalue()
    assert ("slices" in said) == shown
    assert not said.rpartition("\r")[0].rpartition("\r")[2].strip()


def test_who_is_stopped_without_a_terminal_says_so_by_the_code_alone(monkeypatch):
    stop = click.Command("stop", callback=Mock(side_effect=KeyboardInterrupt))
    monkeypatch.setattr("skullnb.cli.click.echo", Mock(side_effect=OSError(5, "I/O error")))
    assert CliRunner().invoke(cli.Command(commands=[stop]), ["stop"]).exit_code == 130


@posix
def test_a_command_called_from_python_leaves_signals_as_they_were(tmp_path):
    """Workers that are forked later would inherit them, and may then outlive their pool."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    run("mask", "nowhere.npy", "--output", tmp_path / "out.npy", expect=2)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_batch_that_is_told_to_stop_keeps_what_is_done_and_says_so(tmp_path, name):
    number = getattr(signal, name)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "scan.npy", rng.integers(0, 99, (400, 300, 300), dtype=np.int16))
    words = ["mask", "scan.npy", "-o", "m.npy", "--chunk", "1", "--workers", "1"]
    own = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    listen = partial(signal.signal, number, own)  # these tests may run under nohup
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=listen
    )
    rows = tmp_path / "m.npy.partial" / "rows"
    while process.poll() is None and not list(rows.glob("*.json")):
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 130, said
    assert b"a batch goes on with the same command" in said
    assert list(rows.glob("*.json"))
    assert not (tmp_path / "m.npy").exists()
