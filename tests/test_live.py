"""Live figures, the part in Python: what a notebook shows, and what the book is given."""

import json
import re
from base64 import b64decode
from html import unescape
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from skullnb.metrics import iou
from skullnb.pipeline import PipelineSettings
from skullnb.report import live
from skullnb.report.chapter import open_chapter
from skullnb.report.plot import spread
from skullnb.stack import Stack, write_stack


def small_stack(n: int = 3) -> Stack:
    """Bright discs in noise; the reference is a larger disc."""
    rows, columns = np.mgrid[:48, :40]
    disc = (rows - 24) ** 2 + (columns - 20) ** 2
    images = np.random.default_rng(5).normal(10, 2, (n, 48, 40)) + 90 * (disc < 100)
    masks = np.repeat((disc < 169)[np.newaxis], n, axis=0).astype(np.uint8)
    return Stack(images.astype(np.float32), masks, (0.5, 0.7), name="<patient>")


@pytest.fixture(autouse=True)
def displayed(monkeypatch):
    """What a notebook would show, by its kind."""
    kept: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: kept.append(data))
    return kept


def config_in(html: str) -> dict[str, Any]:
    [found] = re.findall(r'data-live="([^"]*)"', html)
    return dict(json.loads(unescape(found)))


@pytest.mark.parametrize("focus", ["threshold", "dilation", "whole"])
def test_a_notebook_shows_a_picture_and_the_book_gets_a_live_one_with_its_words(
    focus, tmp_path, displayed
):
    chapter = open_chapter("03-threshold")
    live.live_figure(chapter, focus)
    [shown] = displayed
    with Image.open(BytesIO(b64decode(shown["image/png"]))) as picture:
        assert picture.width > 600
    score = iou(chapter.trace().mask, chapter.reference[8])
    assert shown["text/plain"].startswith(f"live figure: {focus}; threshold 85, ")
    assert shown["text/plain"].endswith(f"IoU {score:.4f}")
    output = new_output("display_data", data=dict(shown))
    cell = new_code_cell("figure", outputs=[output])
    live.make_live(new_notebook(cells=[cell]), chapter.stack, tmp_path)
    [output] = cell.outputs
    html = output.data["text/html"]
    assert set(output.data) == {"text/html"}
    assert f'alt="live figure: {focus}; threshold 85' in html
    assert html.split("base64,")[1].split('"')[0] == shown["image/png"]
    config = config_in(html)
    assert [source["label"] for source in config["sources"]] == [f"slice {i}" for i in range(16)]
    assert (config["start"], config["note"]) == ("slice-8", "")
    assert config["settings"]["kernelWidth"] == 26
    assert len(list(tmp_path.iterdir())) == 16


def test_the_picture_has_the_proportions_of_the_slice_in_mm(tmp_path, displayed):
    write_stack(Stack(small_stack().images, spacing_mm=(3.4, 1.7)), tmp_path / "own.npz")
    live.live_figure(open_chapter("03-threshold", {"images": str(tmp_path / "own.npz")}))
    with Image.open(BytesIO(b64decode(displayed[0]["image/png"]))) as picture:
        dark = np.asarray(picture.convert("L"))[:, : picture.width // 2] < 60
    rows = np.flatnonzero(dark.mean(axis=1) > 0.3)
    columns = np.flatnonzero(dark[rows].mean(axis=0) > 0.3)
    found = (rows[-1] - rows[0]) / (columns[-1] - columns[0])
    assert found == pytest.approx(48 * 3.4 / (40 * 1.7), rel=0.1)


def test_where_the_mask_ends_at_the_frame_the_enlarged_part_does_too(tmp_path, monkeypatch):
    boxes = []
    monkeypatch.setattr(live.plot, "show", lambda *_, box, **__: boxes.append(box))
    write_stack(Stack(np.zeros((1, 48, 40))), tmp_path / "flat.npz")  # an empty mask: all is drawn
    live.live_figure(open_chapter("03-threshold", {"images": str(tmp_path / "flat.npz")}))
    assert boxes == [None, (slice(16, 32), slice(31, 40))]


def test_of_a_large_stack_some_slices_are_live_and_those_that_a_chapter_asks_for(
    tmp_path, displayed
):
    stack = small_stack(176)
    config = config_in(live.try_it(stack, PipelineSettings(), tmp_path))
    keys = [f"slice-{index}" for index in sorted({*spread(176, 16), 88})]
    assert [source["key"] for source in config["sources"]] == keys
    assert (config["start"], config["note"]) == ("slice-88", "17 of 176 slices are live here.")
    assert not [one for one in tmp_path.iterdir() if "patient" in one.read_text("ascii")]
    write_stack(stack, tmp_path / "own.npz")
    mine = open_chapter("15", {"images": str(tmp_path / "own.npz")})
    live.live_figure(mine, slices=[33, 5])
    config = json.loads(displayed[0][live.MIME])
    assert config["start"] == "slice-33"
    assert {"slice-5", "slice-33", *keys} == {one["key"] for one in config["sources"]}
