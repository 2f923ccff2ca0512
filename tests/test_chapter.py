import json

import numpy as np
import pytest

from skullnb.chapter import MOST_SHOWN, open_chapter, open_data
from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.pipeline import create_skull_mask


@pytest.fixture
def scans(tmp_path):
    images = np.zeros((9, 40, 48))
    for number in range(8):
        images[number, 10 + number : 25, 12:30] = 1.0
    np.save(tmp_path / "scans.npy", images)
    np.save(tmp_path / "masks.npy", (images > 0).astype(np.uint8))
    return tmp_path


def test_without_images_a_chapter_is_about_the_phantom():
    chapter = open_chapter("01-data")
    assert chapter.is_published_stack
    assert chapter.stack.images.shape == (5, 768, 624)
    assert chapter.shown == (0, 1, 2, 3, 4)
    assert chapter.middle == 2
    assert set(chapter.results.inputs) == {"images", "reference"}


def test_with_images_a_chapter_is_about_them(scans):
    chapter = open_chapter("01-data", images=str(scans / "scans.npy"), slices="2:5", kernel_width=7)
    assert not chapter.is_published_stack
    assert len(chapter.stack) == 3
    assert chapter.settings.kernel_width == 7
    assert chapter.summary["slice"].tolist() == [2, 3, 4]
    assert chapter.scores is None
    assert str(scans) not in json.dumps(chapter.results.parameters)


def test_a_chapter_says_what_it_is_about_and_no_name_is_markup(scans):
    (scans / "scans.npy").rename(scans / "<b>.npy")
    chapter = open_chapter("01-data", images=str(scans / "<b>.npy"))
    assert chapter.describe().data.startswith("**&#60;b&#62;**: 9 slices of 40 x 48 px")


def test_masks_and_scores_are_those_of_the_pipeline(scans):
    chapter = open_chapter(
        "07-metrics",
        images=str(scans / "scans.npy"),
        reference=str(scans / "masks.npy"),
        kernel_width=1,
    )
    for image, mask in zip(chapter.stack.images, chapter.masks, strict=True):
        np.testing.assert_array_equal(mask, create_skull_mask(image, 1))
    assert [score.iou for score in chapter.scores[:8]] == [1.0] * 8
    assert chapter.reasons[8].startswith("the slice is flat")
    assert "the mask is empty: the slice is flat" in chapter.warnings[8][0]


def test_a_figure_shows_a_few_slices_and_their_traces_stay_few(scans):
    chapter = open_chapter("01-data", images=str(scans / "scans.npy"))
    assert chapter.shown == (0, 2, 4, 6, 8)
    assert len(chapter.masks) == 9
    for number in range(9):
        chapter.trace(number)
        assert len(chapter._traces) <= MOST_SHOWN + 1
    np.testing.assert_array_equal(chapter.trace(3).mask, chapter.masks[3])


def test_results_are_written_where_asked_and_only_there(tmp_path, scans):
    chapter = open_chapter("01-data", images=str(scans / "scans.npy"), output_dir=str(tmp_path))
    chapter.record(n_slices=9)
    assert chapter.close() == "01-data: 1 results"
    kept = json.loads((tmp_path / "results" / "01-data.json").read_text())
    assert kept["values"] == {"n_slices": 9}
    assert list(kept["inputs"]) == ["scans.npy"]
    open_chapter("01-data", images=str(scans / "scans.npy")).close()
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == ["01-data.json"]


@pytest.mark.parametrize("given", ["reference", "groups", "spacing_mm", "slices"])
def test_options_for_images_need_images(given):
    with pytest.raises(InvalidSetting, match=f"{given} is given and images is not"):
        open_data("", **{given: "1"})


def test_missing_images_are_said():
    with pytest.raises(UnreadableFile, match=r"no file or folder"):
        open_chapter("01-data", images="nothing.npy")


def test_numbers_are_filled_in_from_what_was_recorded():
    chapter = open_chapter("01-data")
    chapter.record(iou=0.97941, levels=[23, 24], missing=None, far=float("inf"))
    text = chapter.say("{iou:.3f} / {levels} / {missing:.2f} / {far:.2f}").data
    assert text == "0.979 / 23, 24 / not available / inf"
