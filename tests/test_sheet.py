import re
from base64 import b64decode

import cv2
import numpy as np
import pandas as pd
import pytest
from commands import run
from scans import save

from skullnb import heads
from skullnb.report import sheet
from skullnb.report.build import collate
from skullnb.stack import Stack


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Mask a good volume, one that is empty in part, and one that is damaged."""
    folder = tmp_path_factory.mktemp("sheet")
    images = heads.load("studyforrest").images[4:9, ::2, ::2]
    (folder / "in").mkdir()
    affine = np.diag([-0.7, -0.7, 5, 1])
    save(folder / "in" / "good.nii", images, affine)
    partly = np.concatenate([images[:2], np.zeros_like(images)])
    save(folder / "in" / "a <b> & c.nii", partly, affine)
    (folder / "in" / "cut.nii").write_bytes((folder / "in" / "good.nii").read_bytes()[:3000])
    run("mask", folder / "in", "-o", folder / "out", "--sheet", folder / "look.html",
        "--reach-mm", "7.5", expect=1)  # fmt: skip
    return folder


def test_all_volumes_are_on_one_page_the_worst_first_and_names_are_only_text(folder):
    page = (folder / "look.html").read_text(encoding="utf-8")
    assert re.findall(r'data-status="(\w+)"', page) == ["failed", "warned", "ok"]
    assert "a &lt;b&gt; &amp; c" in page
    assert "<b>" not in page
    assert page.count("data:image/webp;base64,") == 2
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page), "nothing is asked for"
    assert "cut.nii" in page
    assert 'data-name="good" data-mask="good_mask.nii.gz"' in page, "what decisions are saved with"
    assert page.count('class="mask"') == 5 + 7


def test_what_is_almost_all_background_is_drawn_black_whatever_its_type():
    images = np.zeros((2, 40, 30), np.longdouble)  # as some NIfTI has it
    images[1, 20, 10:12] = 900
    cells = {"status": ["ok"] * 2, "slice": range(2), "warnings": [()] * 2, "reason": [""] * 2}
    masks = np.zeros(images.shape, np.uint8)
    drawn = sheet._draw_mosaic(Stack(images), masks, pd.DataFrame(cells), range(2))
    picture = cv2.imdecode(np.frombuffer(b64decode(drawn["data"]), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.median(picture) == 0 < picture.max()


def test_decisions_on_other_masks_of_the_same_name_are_not_taken_over(folder, tmp_path):
    places = []
    for width in (9, 9, 11):
        look = tmp_path / "look.html"
        run("mask", folder / "in" / "good.nii", "-o", tmp_path / "m.nii.gz", "--overwrite",
            "--kernel-width", width, "--sheet", look)  # fmt: skip
        places += re.findall(r"skullnb-sheet:.*", look.read_text(encoding="utf-8"))
    assert places[0] == places[1] != places[2]


def test_collate_has_a_row_a_mask_with_what_a_lab_wants_to_sort_by(folder):
    table = collate(folder).set_index("mask")
    row = table.loc["out/good_mask.nii.gz"]
    assert row[["slices", "warned", "empty", "status"]].tolist() == [5, 0, 0, "ok"]
    assert row["cm3"] > 100
    assert row["sheet"] == "look.html#good_mask.nii.gz"
    assert 'id="good_mask.nii.gz"' in (folder / "look.html").read_text("utf-8")
    assert table["empty"].max() == 5


def test_a_sheet_is_not_written_over_what_is_there_nor_of_another_kind(folder, tmp_path):
    before = (folder / "look.html").read_bytes()
    words = ("mask", folder / "in", "-o", tmp_path / "out", "--sheet")
    again = run(*words, folder / "look.html", expect=2)
    assert "exists already" in again.output
    assert (folder / "look.html").read_bytes() == before
    assert not (tmp_path / "out").exists()
    run(*words, tmp_path / "look.pdf", expect=2)


def test_two_hundred_volumes_stay_under_25_mb():
    one = heads.load("studyforrest")
    noisy = np.random.default_rng(0).normal(one.images, 40).astype(np.int16)
    stack = Stack(np.concatenate([noisy, noisy[:8]]), spacing_mm=one.spacing_mm)
    cells = {"status": ["ok"] * 24, "slice": range(24), "warnings": [()] * 24, "reason": [""] * 24}
    masks = one.reference[[*range(16), *range(8)]]
    drawn = sheet._draw_mosaic(stack, masks, pd.DataFrame(cells), range(24))
    largest = len(drawn["data"]) + sum(len(cell["path"]) + 300 for cell in drawn["cells"])
    assert largest < 25e6 / 200
