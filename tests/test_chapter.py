"""What notebooks call: their data, their numbers, their sentences and figures."""

import json
import math
import re
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pandas as pd
import pytest
from chapters import write_chapter, write_data
from golden_run import NOTEBOOKS, run_chapter
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from skullnb import heads
from skullnb.errors import InvalidSetting
from skullnb.pipeline import PipelineSettings, create_skull_masks
from skullnb.report.chapter import PARAMETERS, fill, open_chapter, plain

NUMBERS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text()


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Nine slices."""
    folder = tmp_path_factory.mktemp("scans")
    images = np.zeros((9, 40, 48))
    images[:, 10:25, 12:30] = 1.0
    np.save(folder / "scans.npy", images)
    return folder


def test_without_images_a_notebook_is_about_the_head_inside_the_package():
    chapter = open_chapter("01-data")
    assert chapter.is_built_in
    assert len(chapter.stack) == 16
    assert chapter.reference is not None
    assert chapter.spacing_mm is not None
    article = open_chapter("01-data", {"images": "phantom"})
    assert (article.is_built_in, article.images.shape) == (False, (5, 768, 624))


def test_with_images_it_is_about_them(scans):
    names = {"images": str(scans / "scans.npy"), "slices": "2:5", "kernel_width": 7, "other": 1}
    chapter = open_chapter("01-data", names)
    assert not chapter.is_built_in
    masks = create_skull_masks(chapter.images, PipelineSettings(kernel_width=7))
    assert chapter.rows["mask_px"].tolist() == masks.sum(axis=(1, 2)).tolist()
    np.testing.assert_array_equal([chapter.trace(one).mask for one in chapter.shown], masks)
    assert chapter.rows["slice"].tolist() == [2, 3, 4]
    np.testing.assert_array_equal(chapter.image, chapter.images[chapter.middle])
    assert chapter.reference is None
    assert open_chapter("07-metrics", {"images": names["images"]}).shown == [0, 2, 4, 6, 8]
    # Papermill may make a number of what is typed.
    chapter = open_chapter("01-data", {**names, "spacing_mm": 0.5, "slices": 3})
    assert (chapter.spacing_mm, len(chapter.stack)) == ((0.5, 0.5), 1)


def test_slices_without_a_reference_are_told_and_stand_for_nothing(scans):
    names = {"images": str(scans / "scans.npy"), "reference": str(scans / "one.npy")}
    np.save(scans / "one.npy", np.load(scans / "scans.npy") * (np.arange(9) == 7)[:, None, None])
    chapter, without = (open_chapter("x", names | {"slices": one}) for one in ("", ":7"))
    assert (chapter.middle, without.reference) == (7, None)
    assert "with reference. Scored on 1 of 9 slices; the ref" in chapter._repr_markdown_()
    assert "no reference. The reference mask is empty on every" in without._repr_markdown_()


def test_a_reach_in_mm_becomes_a_kernel_width_where_the_spacing_is_known(scans):
    names = {"images": str(scans / "scans.npy"), "reach_mm": 5}
    assert open_chapter("x", {**names, "spacing_mm": "1"}).settings.kernel_width == 11
    with pytest.raises(InvalidSetting):
        open_chapter("x", names)


def test_a_notebook_takes_the_parameters_that_it_knows_in_any_run_of_a_cell_and_no_others(tmp_path):
    write_data(tmp_path, ("scans.npy", "masks.npy"))
    again = 'extra = 23\nchapter = open_chapter("03-threshold", globals())'
    path = write_chapter(tmp_path, "03-threshold", again, "print(len(chapter.stack))")
    words = {"kernel_name": "python3", "language": "python"}
    given = {"images": str(tmp_path / "scans.npy"), "reach_mm": None}
    notebook = parameterize_notebook(load_notebook_node(str(path)), given, **words)
    NotebookClient(notebook, kernel_name="python3").execute()
    assert notebook.cells[-1].outputs[0].text == "2\n"
    cell = ["", "# Parameters\nkernal_width = 24\n"]
    said = "'03-threshold' has no parameter 'kernal_width'; it has images, reference"
    with pytest.raises(InvalidSetting, match=re.escape(said)):
        open_chapter("03-threshold", {"In": cell, "kernal_width": 24})


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ 1 | many('slice') }}, {{ 12345 | many('slice') }}", "1 slice, 12,345 slices"),
        ("{{ [3, 1, 2] | span }}, {{ [2, 2] | span }}", "1 to 3, 2"),
        ("{{ [0.25, None] | span('.1f') }}, {{ [] | span }}", "0.2, not available"),
        ("{{ [0.5, 0.25] | f('.0%') }}", "50%, 25%"),
        ("{% if n > 2 %}\nmany\n{% else %}\nfew\n{% endif %}", "many"),
        ("{{ '<b>*x*' }}{{ '*y*' | safe }}", "&#60;b&#62;&#42;x&#42;*y*"),
    ],
)
def test_sentences_count_range_and_never_take_a_text_for_markup(template, said):
    assert fill(template, {"n": 3}) == said


@given(st.dictionaries(st.text(min_size=1), st.lists(NUMBERS) | NUMBERS))
def test_whatever_is_recorded_survives_json(values):
    kept = plain(values)
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept


def test_numpy_and_pandas_values_become_plain_and_what_is_none_of_them_is_refused():
    found = plain({"a": np.float32(0.5), "b": np.arange(3), "c": (np.int64(1), np.bool_(True))})
    assert found == {"a": 0.5, "b": [0, 1, 2], "c": [1, True]}
    assert plain({np.int64(3): {("a", True): 1}, True: 2}) == {"3": {"('a', True)": 1}, "True": 2}
    assert plain(pd.Series([1.0, np.nan])) == [1.0, None]
    assert plain([math.inf, -math.inf, pd.NA]) == ["inf", "-inf", None]
    with pytest.raises(InvalidSetting, match="a number or a text, not"):
        plain(Path("x"))


def test_results_are_written_as_they_are_recorded_and_only_where_asked(tmp_path, scans):
    names = {"images": str(scans / "scans.npy"), "output_dir": str(tmp_path)}
    open_chapter("01-data", {**names, "output_dir": ""}).record(n=1)
    assert list(tmp_path.iterdir()) == []
    open_chapter("01-data", names).record(n=9)
    open_chapter("02-normalise", names).say("{{ n }}", n=3)
    written = sorted((tmp_path / "results").iterdir())
    assert [path.name for path in written] == ["01-data.json", "02-normalise.json"]
    kept = json.loads(written[0].read_text(encoding="utf-8"))
    assert kept["values"] == {"n": 9}
    assert list(kept["inputs"]) == ["scans.npy"]
    assert {"python", "numpy"} <= set(kept["versions"])
    assert set(kept["parameters"]) == set(PARAMETERS) - {"output_dir"}
    assert kept["parameters"]["images"] == "scans.npy", "without anybody's folders"


def test_figures_are_numbered_captioned_described_and_closed(monkeypatch):
    import matplotlib.pyplot as plt

    display = mock.Mock()
    monkeypatch.setattr("IPython.display.display", display)
    chapter = open_chapter("05-dilation")
    for caption in ("A line. It rises by {{ n }}.", "Another", "A line. It rises by {{ n }}."):
        plt.plot([1, 2, 4])
        chapter.figure(caption, alt="A line of {{ n }}", n=3)
    calls = display.call_args_list
    shown = [{**one.args[0], **one.kwargs["metadata"]["skullnb"]} for one in calls[::2]]
    assert calls[-1].args[0].data == "**Figure 5.1.** *A line.* It rises by 3."
    assert [one["figure"] for one in shown] == ["5.1", "5.2", "5.1"], "a rerun keeps its number"
    assert shown[1]["caption"] == "**Figure 5.2.** *Another*"
    assert shown[0]["alt"] == "A line of 3"
    assert shown[0]["text/plain"] == "Figure 5.1: line 3, mean 2.333"
    assert "image/svg+xml" not in shown[0]
    assert plt.get_fignums() == []


@pytest.mark.parametrize("n", [1, 900])
def test_one_slice_and_very_many_are_shown_as_they_can_be(tmp_path, monkeypatch, n):
    monkeypatch.setattr("IPython.display.display", lambda *shown, **words: None)
    image = np.zeros((24, 20), np.uint8)
    image[6:18, 5:15] = 200
    np.save(tmp_path / "many.npy", np.tile(image, (n, 1, 1)))
    names = {}
    run_chapter(NOTEBOOKS / "15-your-data.ipynb", {"images": str(tmp_path / "many.npy")}, names)
    assert names["chapter"].values["n_shown"] == min(n, 400)
    assert names["chapter"].values["mean"] is None


@pytest.mark.parametrize("spacing", ["1x1", "0.67x0.7", ""])
def test_the_verdict_says_that_the_kernel_does_not_suit_the_pixels(tmp_path, monkeypatch, spacing):
    monkeypatch.setattr("IPython.display.display", lambda *shown, **words: None)
    images = heads.load("studyforrest").images[6:9]
    np.save(tmp_path / "scans.npy", [cv2.resize(one, (183, 269)) for one in images])
    given, names = {"images": str(tmp_path / "scans.npy"), "spacing_mm": spacing}, {}
    said = run_chapter(NOTEBOOKS / "15-your-data.ipynb", given, names)
    remark = names["chapter"].values["remark"]
    assert bool(remark) == (spacing == "1x1")
    told = " ".join(" ".join(said).split())
    assert (f"right.** But on every slice {remark}." in told) == bool(remark)
    assert (f"Mind: {remark}" in told) == bool(remark)
