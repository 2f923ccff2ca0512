"""Bad input at every door: one clear sentence, exit code 2, nothing written, nothing filled up.

The tables are the test: a new case is one line. `FILES` go in by every door that reads images,
`WORDS` by the command line, `CALLS` by Python, `PLACES` are outputs that can't be written.
"""

import csv
import os
import pickle
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import bad_inputs as bad
import numpy as np
import pytest
from bad_inputs import HEAD, NOISE, content, dicom, flip, mgh, nifti, npy, npz, tiff
from click.testing import CliRunner

from skullnb import pipeline
from skullnb.cli import main
from skullnb.errors import SkullnbError
from skullnb.report.build import MARKER, build_report
from skullnb.stack import read_stack

MASK = (HEAD > 0).astype(np.uint8)
NAN = HEAD.copy()
NAN[1, 3, 4] = np.nan
HUGE = (10**6, 10**5, 10**5)
HUGE_NIFTI = [3, 30000, 30000, 30000, 1, 1, 1, 1]
MANY_PIXELS = r"promises [\d,]{15,} bytes of pixels, more than"
DAMAGED = "damaged|can't be read|promises"
PICKLE = pickle.dumps(np.zeros(3))


def assert_one_sentence(text):
    assert text.isprintable(), text  # no line break, no command to the terminal
    assert "Traceback" not in text
    assert 15 < len(text) < 1000, text


def everything_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size if path.is_file() else -1
        for path in sorted(folder.rglob("*"))
    }


def run(*words):
    """Exit code and complaint of a command; nothing else may be raised."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    # Before it there may be how the command is used, or what it is at.
    return result.exit_code, result.stderr.partition("Error: ")[2].removesuffix("\n")


OTHER_NAME = os.fsdecode(b"\xff.npy")
FILES = {
    # name: (what makes it in a folder, words of the refusal)
    "nothing there": (lambda f: f / "scan.npy", "no file or folder"),
    "an empty folder": (lambda f: f, "holds no file"),
    "a pipe": (bad.fifo, "no file or folder"),
    **{
        f"an empty {kind}": (content(f"scan{kind}", b""), f"scan{kind} is empty, a file of 0 bytes")
        for kind in (".npy", ".npz", ".nii", ".nii.gz", ".tif", ".png", ".nrrd", ".dcm")
    },
    "text called nii.gz": (content("scan.nii.gz", b"hello"), "nii.gz .* no header of a volume"),
    "a film": (content("a.mp4", b"x"), r"of a kind .* \.npy.*\.nii\.gz.*\.tif.* and DICOM"),
    "a name with an escape": (content("a\x1b[31m\n.npy", b"x"), r"a\\x1b\[31m\\n.npy can't be"),
    "a name of no letters": (content(OTHER_NAME, b"x"), r"\\udcff.npy can't .* no UTF-8"),
    "npy of five dimensions": (npy(np.zeros((1, 1, 2, 3, 4))), "scan.npy has 5 .*, as several vol"),
    "npy of one dimension": (npy(np.zeros(9)), r"scan.npy has the shape \(9,\); give one volume"),
    "npy without slices": (npy(HEAD[:0]), r"is empty: its shape \(0, 40, 48\) has no pixels"),
    "npy in colour": (npy(np.zeros((40, 48, 3), np.uint8)), "colour"),
    "npy of complex numbers": (npy(HEAD * 1j), "complex"),
    "npy of records": (npy(np.zeros((9, 9), "f4,f4")), "real grey values"),
    "npy of objects": (npy(np.array([[{}, 1]], dtype=object)), "npy holds Python objects instead"),
    "npy that is a pickle": (content("scan.npy", PICKLE), DAMAGED),
    "npy with NaN": (npy(NAN), "1 of 1920 pixels that are NaN.*--nan-background"),
    "npy of petabytes": (content("scan.npy", bad.npy_header(HUGE)), DAMAGED),
    "npz that is no archive": (content("scan.npz", b"PK\3\4 no"), "scan.npz can't be read"),
    "npz with a flipped bit": (flip(npz(images=NOISE), 0.5), "scan.npz can't be read"),
    "npz without images": (npz(a=NOISE, b=NOISE), r"2 arrays \(a, b\) and none is called images"),
    "npz of objects": (npz(images=np.array([{}], object)), "npz holds Python objects instead of"),
    "npz with groups of objects": (npz(images=NOISE, groups=np.array([{}], object)), "pickle"),
    "npz of petabytes": (bad.archive({"images.npy": bad.npy_header(HUGE)}), MANY_PIXELS),
    "nii.gz with a flipped bit": (flip(nifti(name="scan.nii.gz"), 0.5), DAMAGED),
    "nifti of petabytes": (nifti(dim=HUGE_NIFTI), DAMAGED),
    "nii.gz of petabytes": (nifti(name="scan.nii.gz", dim=HUGE_NIFTI), MANY_PIXELS),
    "nifti of four dimensions": (nifti(np.zeros((4, 5, 6, 2))), "or colours do; give one volume"),
    "nifti with a singular affine": (nifti(srow_x=0, srow_y=0), "scan.nii .* singular"),
    "nifti with an infinite slope": (nifti(scl_slope=1e38, scl_inter=np.inf), "intercept inf"),
    "a header without its pixels": (content("scan.hdr", bytes(348)), "scan.hdr can't be read"),
    "mgz with a flipped bit": (flip(mgh("scan.mgz"), 0.5), DAMAGED),
    "mgz of petabytes": (mgh("scan.mgz", dims=[10**6, 10**5, 10**5, 1]), MANY_PIXELS),
    "minc that is text": (content("scan.mnc", b"CDF\1no"), "scan.mnc can't be read"),
    "nrrd that is text": (content("scan.nrrd", b"NRRD0004\nno"), "scan.nrrd"),
    "tiff that is text": (content("scan.tif", b"II*\0nothing"), "scan.tif can't be read"),
    "tiff in colour": (tiff(np.zeros((9, 8, 3), np.uint8), photometric="rgb"), "colour"),
    "jpg that is text": (content("scan.jpg", b"\xff\xd8no"), "scan.jpg can't be read"),
    "dicom that is text": (content("scan.dcm", b"hello"), "scan.dcm can't be read as DICOM"),
    "dicom of petabytes": (dicom(NumberOfFrames=10**9, Rows=60000), "promises"),
    "dicom in colour": (dicom(PhotometricInterpretation="RGB"), "colour"),
    "dicom of ultrasound": (dicom(Modality="US"), "modality US"),
    "dicom at one place": (dicom(ImagePositionPatient=[0, 0, 0]), "slices 0 to 0 mm apart"),
    "dicom with NaN directions": (dicom(ImageOrientationPatient=["nan"] * 6), "no position"),
    "zarr whose description is text": (content("scan.zarr", b"hello"), "scan.zarr can't be read"),
    "zarr of pickles": (bad.zarr({"compressor": {"id": "pickle"}}, PICKLE, old=True), "pickled"),
}


def in_python(path, out):
    with pytest.raises(SkullnbError) as caught:
        pipeline.measure_stack(read_stack(path))
    return 2, str(caught.value)


DOORS = {
    "python": in_python,
    "mask": lambda path, out: run("mask", path, "-o", out / "m.nii.gz"),
    "evidence": lambda path, out: run("evidence", path, "-o", out / "e"),
    "sweep": lambda path, out: run("sweep", "--images", path, "--reference", path),
    "report": lambda path, out: run("report", "--images", path, "-o", out / "r"),
    "batch": lambda path, out: run("mask", path, "-o", out / "m.packed.npy"),
}


def doors_of(case):
    if case.startswith("zarr"):
        return {"batch"}
    if "NaN" in FILES[case][1]:
        return DOORS.keys() - {"sweep"}  # which looks at the reference first
    if case == "npz with groups of objects":
        return {"python", "mask", "evidence"}  # a batch asks for images only
    return DOORS.keys()


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_scan_is_refused_at_every_door(tmp_path, monkeypatch, case):
    make, words = FILES[case]
    out = tmp_path / "out"
    for folder in (tmp_path / "in", out):
        folder.mkdir()
    monkeypatch.chdir(out)
    path = make(tmp_path / "in")
    before = everything_in(tmp_path)
    for door in sorted(doors_of(case)):
        code, said = DOORS[door](path, out)
        if code == 1:  # some slices are whole, so each has its row
            rows = csv.DictReader(next(out.glob("*.csv")).read_text().splitlines())
            said, code = next(row["reason"] for row in rows if row["status"] == "failed"), 2
            for file in out.iterdir():
                file.unlink()
        assert code == 2, (door, code, said)
        assert_one_sentence(said)
        assert re.search(words, said), (door, said)
        assert everything_in(tmp_path) == before, door


WORDS = {
    # in a folder with scan.npy, mask.npy, labels.txt: what the refusal says
    "mask ' ' -o m.npy": "No images are given",
    "mask 's**.xyz' -o m.npy": "holds no file|Invalid pattern",
    "mask scan.npy#6 -o m.npy": "no DICOM series",
    "mask scan.npy -o scan.npy --overwrite": "slices came from|among the images",
    "mask scan.npy -o mask.npy": "exists already",
    "mask scan.npy -o no/m.npy": "no folder",
    "mask scan.npy -o 'm\n.bmp'": r"m\\n.bmp is of a kind",
    "mask scan.npy -o m.png": "holds one slice, and there are 3",
    "mask scan.npy -o " + "m" * 300 + ".npy": "too long",
    "mask scan.npy -o m.npy --slices 9": "others than 0 to 2; give numbers",
    "mask scan.npy -o m.npy --slices abc": "'abc' are not understood; give numbers and ranges",
    "mask scan.npy -o m.npy --axis sagittal": "no orientation",
    "mask scan.npy -o m.npy --kernel-width -1": "whole number of pixels",
    "mask scan.npy -o m.npy --bids": "BIDS masks go into a folder",
    "mask scan.npy -o m.zarr --slices 0,2": "one range of slices",
    "mask two -o m.nii.gz": "Masks of several volumes and BIDS masks go into a folder",
    "mask two -o two": "a_mask.npy would lie among the images",
    "sweep --images scan.npy": "needs a reference mask",
    "sweep --images scan.npy --reference mask.npy --groups no.txt": "no groups file .*no.txt",
    "sweep --images scan.npy --reference mask.npy --groups pipe.txt": "no groups file",
    "sweep --widths ''": "not understood",
    "sweep --csv mask.npy": "of a kind not written; use .csv",
    "report --images nan.npy": "Slice 1 has .* pixels that are NaN",
    "mask 'bids/*' -o out --bids --overwrite": "2 masks would be called sub-1_desc-pdT1w",
    "evidence --with-phantom nobody": "No variant called 'nobody'",
    "phantom": "Name the file to write",
    "phantom -o p.png": "not written",
    "heads show ../colin27": "no open head '../colin27'",
    "heads fetch": "Name the heads to fetch, or add --all",
    # Even where the width is the one that it would be anyhow.
    "mask scan.npy -o m.npy --reach-mm 7.5 --kernel-width 26": "not both",
    "mask scan.npy -o m.npy --reach-mm 9.75mm": "not a valid float",
    "heads fetch colin28": "'colin28'; there are",
    "evidence colin28": "no file or folder",
    "lab --images none.npy": "no file or folder",
    "phantom -o p.npz --variant bridge --seed 1": "not both",
    "phantom -o p.npz --n-slices 2": "--n-slices with --seed",
    "report --images scan.npy -o two": "not empty",
    "report --images scan.npy -o two --overwrite": "skullnb report, nothing else",
    "report --chapter 99": "no chapter '99'; the chapters are 01-data, 02",
    "report --workers 0": "0 is not in the range",
    "report --kernel-width -3": "whole number of pixels",
    "report --reference mask.npy": "reference is given for no images",
    "report --images scan.npy --reference nan.npy --slices 1:": "nan.npy is not binary in slice 1;",
    "report --images scan.npy --reference small.npy": r"mask small.npy has the shape \(2, 5, 5\)",
    "report --images scan.npy -o scan.npy": "is a file",
    "report --images scan.npy -o .": "current",
    "report --images scan.npy -o old": "not empty",
    "lab --reference mask.npy": "reference is given for no images",
    "lab --kernel-width -3": "whole number of pixels",
    "lab -- --ip=0.0.0.0": "this computer only.*leave out '--ip",
    "lab -- --ServerApp.token=": "leave out '--Serv",
    "mask studyforrest -o m.nii --method whole-head --kernel-width 26": "has no kernel",
    "mask studyforrest -o m.nii --method whole-head --border dilation": "leave --border",
    "mask studyforrest -o m.npy --method whole-head --chunk 4": "does not go with a batch",
    "mask studyforrest -o m.nii --method whole-head --slices 1,2,9": "how far slices are apart",
    "mask studyforrest -o m.nii --method whole-head --slices 4": "this is one slice",
    "mask scan.npy -o place-\udcff.npz": "no UTF-8",
    "evidence scan.npy -o place-\udcff.npz": "no UTF-8",
    "sweep --csv place-\udcff.npz": "no UTF-8",
    "collate broken -o t.csv": "is not a whole skullnb results file",
    "collate two -o t.xlsx": "of a kind not written; use .csv",
}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder to stand in, with a scan, its mask, and things that are neither."""
    monkeypatch.chdir(tmp_path)
    np.save("scan.npy", HEAD)
    np.save("mask.npy", MASK)
    os.mkfifo("pipe.txt")
    np.save("nan.npy", NAN)
    np.save("small.npy", np.zeros((2, 5, 5), np.uint8))
    for folder in ("two", "old", "bids"):
        Path(folder).mkdir()
    for name in ("desc-pd_T1w", "pdT1w"):
        Path(f"bids/sub-1_{name}.nii.gz").touch()
    Path("old", MARKER).touch()
    Path("broken/results").mkdir(parents=True)
    Path("broken/results/01-data.json").write_text('{"format": "skullnb-')
    for name in "ab":
        np.save(f"two/{name}.npy", HEAD)
    return tmp_path


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words[:60])
def test_words_that_make_no_sense_are_refused(desk, words, monkeypatch):
    for start in ("lab._serve", "build._run"):
        begun = Mock(side_effect=AssertionError(f"{start} was called"))
        monkeypatch.setattr(f"skullnb.report.{start}", begun)
    before = everything_in(desk)
    code, said = run(*shlex.split(words))
    assert code == 2, said
    assert_one_sentence(said)
    assert re.search(WORDS[words], said), said
    assert everything_in(desk) == before


CALLS = {
    # in a folder: what the refusal says; what other modules refuse is in their own tests
    "a path with a null": (lambda f: read_stack("a\0b.npy"), "no file or folder"),
    "an array for a path": (lambda f: read_stack(HEAD), "can't be looked up"),
    "no paths": (lambda f: read_stack([]), "No images are given"),
    "no workers": (lambda f: build_report(workers=0), "workers is 0"),
    "an unknown parameter": (lambda f: build_report(reach=7), "no parameter 'reach'; it has im"),
    "a zarr array": (lambda f: read_stack(bad.zarr({})(f)), "for batches"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_call_that_makes_no_sense_is_refused(tmp_path, case):
    call, words = CALLS[case]
    with pytest.raises(SkullnbError, match=words) as caught:
        call(tmp_path)
    assert_one_sentence(str(caught.value))


def test_a_file_can_not_name_another_one_to_be_read_as_its_groups(tmp_path):
    (tmp_path / "secret").write_text("a\nb\nc\n")
    path = npz(images=NOISE, groups=str(tmp_path / "secret"))(tmp_path)
    assert set(read_stack(path).groups) == {str(tmp_path / "secret")}


PLACES = {
    # in a folder with scan.npy, PLACE being full, or read only
    *(f"mask scan.npy -o PLACE/m{kind}" for kind in (".npz", ".tif", ".packed.npy", ".zarr")),
    *(f"mask scan.npy -o PLACE/m{kind}" for kind in (".npy", ".nii", ".nii.gz")),
    "sweep --images scan.npy --reference mask.npy --widths 3,5 --csv PLACE/s.csv",
    "evidence scan.npy -o PLACE",
    "phantom --variant bridge -o PLACE/p.npz",
    "report --images scan.npy -o PLACE/report",
}


@pytest.fixture(params=["full", "read only"])
def place(request, tmp_path):
    """A folder without a free byte, or without the right to write, on a disk of its own."""
    folder, full = tmp_path / "place", request.param == "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k" if full else "ro", "none", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root on Linux may mount here")
    if full:
        with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_place_that_can_not_be_written_is_said_and_nothing_is_left_there(desk, place):
    before = everything_in(place)
    for words in sorted(PLACES):
        code, said = run(*(word.replace("PLACE", str(place)) for word in shlex.split(words)))
        assert code in (1, 2), (words, said)
        if code == 2:
            assert_one_sentence(said)
            assert re.search("space|full|Read-only|[Pp]ermi|too large|free", said), (words, said)
        assert everything_in(place) == before, words
