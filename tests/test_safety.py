"""What is in the data stays data: no code of it runs, here or in a reader's browser."""

import ast
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import nbformat
import nibabel as nib
import numpy as np
import pytest
from commands import run
from dicoms import PLANTED, save_series
from screenshots import book_pages

import skullnb
from skullnb.report.build import build_report

MODULE = Path(skullnb.__file__).parent

DANGERS = """\
from pickle import loads
from joblib.numpy_pickle import load
import marshal
import shelve, dill
import cloudpickle
from os import path, system; system(text)
eval(text)
exec(text)
import subprocess; subprocess.run(command, shell=True)
subprocess.getoutput(command)
import yaml; yaml.load(text)
import urllib.request; urllib.request.urlopen(address)
import requests; requests.get(address, verify=False, timeout=9)
import tempfile; tempfile.mktemp()
"""
# What it does not look for.
UNSEEN = r"noqa(?!: *[A-RU-Z]\w*\b(?!, *[A-Z]))|allow_pickle=True|extractall|__import__"
UNSEEN += "|(unsafe|full)_load"
UNSEEN += "|import_module[(].(pickle|marshal|shelve|dill|joblib|cloudpickle)"


def test_ruff_sees_every_danger_in_the_module_and_there_is_none_that_it_cannot_see():
    pytest.importorskip("ruff")
    command = [sys.executable, "-m", "ruff", "check", "--output-format=json", "--stdin-filename"]
    command += [str(MODULE / "new.py"), "--config", str(MODULE.parent / "pyproject.toml"), "-"]
    done = subprocess.run(command, input=DANGERS, capture_output=True, text=True, check=False)
    found = [one for one in json.loads(done.stdout) if one["code"].startswith(("S", "TID"))]
    assert {one["location"]["row"] for one in found} == {*range(1, DANGERS.count("\n") + 1)}
    for hidden in ("x  # noqa\n", "x  # noqa: S102", "x  # noqa: E501, TID251", "__import__(x)"):
        assert re.search(UNSEEN, hidden)
    for code in (*MODULE.rglob("*.py"), *(MODULE.parent / "book").rglob("*.py")):
        assert not re.search(UNSEEN, code.read_text(encoding="utf-8")), code


def test_a_nifti_header_with_a_dicom_header_in_it_tells_nothing_of_the_patient(
    tmp_path, monkeypatch, recwarn, caplog
):
    scan = save_series(tmp_path / "dicom", np.zeros((1, 8, 8), np.int16))[0].read_bytes()
    image = nib.Nifti1Image(np.zeros((8, 8, 3), np.int16), np.eye(4))
    for content in (scan, scan[: len(scan) // 2], PLANTED.encode()):
        image.header.extensions.append(nib.nifti1.Nifti1Extension(2, content))
    image.to_filename(tmp_path / "scan.nii.gz")
    recwarn.clear()
    # What isn't read can't be told: nibabel's own way to read extensions would break down now.
    monkeypatch.setattr("nibabel.nifti1.Nifti1Extensions.from_fileobj", None)
    result = run("mask", tmp_path / "scan.nii.gz", "-o", tmp_path / "mask.nii.gz")
    said = [result.output, caplog.text, *(str(warning.message) for warning in recwarn)]
    said += [gzip.decompress((tmp_path / "mask.nii.gz").read_bytes()).decode("latin-1")]
    assert not [text for text in said if PLANTED in text]


RUNS = "window.planted=1;alert(1)"
LABELS = (
    f"</td></details><script>{RUNS}</script>",
    f'"onerror="{RUNS}" `code` {{{{7*7}}}} {{raw}}`<b onclick={RUNS}>`',
    f"![p](https://planted.invalid/p.png) [l](javascript:{RUNS}) <https://planted.invalid>",
    r"$\frac{$ $$\planted{$$ \( :::{raw} html | a % # ~~~",
)
NAME = f"""<img src=x onerror={RUNS}> "+__import__('os').mkdir('planted')+" {{x}} $\\frac{{$ *a*"""
# The second line of a name: were it code, papermill would run it.
FOLDER = f"""{NAME}"\nimport os; os.mkdir("planted")\n#"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Build a book about a series whose every text is a trap."""
    folder = tmp_path_factory.mktemp("planted")
    images = np.zeros((4, 96, 80), np.int16)
    reference = np.zeros((4, 96, 80), np.uint8)
    for number, (image, mask) in enumerate(zip(images, reference, strict=True)):
        cv2.ellipse(image, (40, 48), (34, 42), 0, 0, 360, 1000, 3)
        cv2.ellipse(image, (40, 48), (20 + number, 28), 0, 0, 360, 800, -1)
        cv2.ellipse(mask, (40, 48), (29 + number, 37), 0, 0, 360, 1, -1)
    texts = ("PatientName", "SeriesDescription", "StudyDescription", "ImageComments")
    save_series(folder / FOLDER, images, **dict.fromkeys(texts, LABELS[0][:60]))
    np.save(folder / f"{NAME}.npy", reference)
    (folder / "groups.txt").write_text("\n".join(label.replace(",", ";") for label in LABELS))
    done = build_report(
        images=folder / FOLDER,
        reference=folder / f"{NAME}.npy",
        groups=folder / "groups.txt",
        kernel_width=18,
        output_dir=folder / "report",
        chapters=("09", "15"),  # which show names and labels
        single_file=True,
    )
    assert done.failed == ()
    return folder / "report"


@pytest.mark.browser
@pytest.mark.slow
def test_nothing_planted_in_names_labels_and_dicom_texts_runs_in_the_book(chromium, planted):
    happened = []
    page = chromium.new_page()
    page.on("dialog", lambda dialog: (happened.append(f"dialog on {page.url}"), dialog.accept()))
    page.on("request", lambda one: happened.append(one.url))
    page.on("pageerror", lambda error: happened.append(str(error)))
    shown = ""
    for path in (*book_pages(planted / "html"), planted / "book.html"):
        if "planted" not in path.read_text(encoding="utf-8"):
            continue  # nothing of the data
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        alone = "\n".join(page.locator("article").all_inner_texts())
        shown += alone
        assert page.evaluate(TRAPS) == {"ran": False, "nodes": []}, path.name
    page.close()
    assert [one for one in happened if not one.startswith(("file:", "data:"))] == []
    # They were there to see, on the pages and in the file: without them this shows nothing.
    for trap in ("window.planted=1", "planted.invalid"):
        assert trap in alone
        assert shown.count(trap) == 2 * alone.count(trap)


TRAPS = """() => {
    const all = Array.from(document.querySelectorAll("article *, title, meta"));
    const bad = (name) => name.startsWith("on") || name === "href" || name === "src";
    const traps = all.filter((node) => Array.from(node.attributes).some(
        (one) => bad(one.name) && /planted|javascript:/.test(one.value)));
    return {ran: "planted" in window, nodes: traps.map((node) => node.outerHTML.slice(0, 200))};
}"""


@pytest.mark.slow
def test_no_parameter_becomes_code_of_a_notebook(planted):
    notebooks = sorted((planted / "notebooks").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        cells = nbformat.read(path, as_version=4).cells
        [cell] = [one for one in cells if "injected-parameters" in one.metadata.get("tags", [])]
        lines = ast.parse(cell.source).body
        assert {type(line) for line in lines} == {ast.Assign}
        given = {ast.unparse(one.targets[0]): ast.literal_eval(one.value) for one in lines}
        assert (given["images"], given["kernel_width"]) == (FOLDER, 18)
    assert not list(planted.parent.rglob("planted"))
