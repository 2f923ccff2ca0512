"""Live figures, the part in Python: what a notebook shows, and what the book is given."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html import unescape
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from skullnb import live, phantom
from skullnb.chapter import Chapter, open_chapter
from skullnb.errors import InvalidSetting
from skullnb.figures.explorer import explorer_figure
from skullnb.pipeline import PipelineSettings, normalise
from skullnb.stack import Stack


def small_stack(n: int = 3, *, reference: bool = True) -> Stack:
    """Bright discs in noise; the reference is a larger disc."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:48, :40]
    disc = (rows - 24) ** 2 + (columns - 20) ** 2
    images = rng.normal(10, 2, (n, 48, 40)) + 90 * (disc < 100)
    masks = np.repeat((disc < 169)[np.newaxis], n, axis=0).astype(np.uint8)
    return Stack(
        images.astype(np.float32), masks if reference else None, (0.5, 0.7), name="<patient>"
    )


@pytest.fixture(scope="module")
def chapter() -> Chapter:
    return open_chapter("03-threshold")


def published(figure: live.LiveFigure, stack: Stack, folder: Path) -> Any:
    """Give back the output that the book gets for a figure."""
    output = new_output("execute_result", data=figure._repr_mimebundle_(), execution_count=1)
    metadata = {"mystnb": {"image": {"alt": 'A "live" <figure>'}}}
    cell = new_code_cell("figure", outputs=[output], metadata=metadata)
    live.publish(new_notebook(cells=[cell]), stack, folder)
    return cell.outputs[0]


def config_in(html: str) -> dict[str, Any]:
    found = re.search(r'data-live="([^"]*)"', html)
    assert found
    return dict(json.loads(unescape(found[1])))


def slice_in(script: Path) -> dict[str, Any]:
    found = re.fullmatch(r'skullnbLive\.take\("([\w-]+)", (\{.*\})\);\n', script.read_text("ascii"))
    assert found
    assert found[1] == script.stem
    return dict(json.loads(found[2]))


def test_a_notebook_shows_a_picture_and_keeps_what_the_book_needs(chapter):
    shown = live.live_figure(chapter, "threshold")._repr_mimebundle_()
    with Image.open(BytesIO(b64decode(shown["image/png"]))) as picture:
        assert picture.width > 600
    config = json.loads(shown[live.MIME])
    assert [source["label"] for source in config["sources"]] == [f"slice {i}" for i in range(5)]
    assert config["start"] == "slice-2"
    assert config["settings"]["kernelWidth"] == 26
    assert shown["text/plain"] == "live figure: threshold"


def test_beside_the_picture_no_name_runs_into_a_value():
    facts = {"touch the frame": "0", "IoU": "0.98", "reason": "long words " * 9}
    figure = explorer_figure(np.zeros((768, 624, 3), np.uint8), facts)
    figure.png()
    texts = [text.get_window_extent() for text in figure.axes[1].texts]
    names, values = texts[: len(facts)], texts[len(facts) :]
    assert max(name.x1 for name in names) < min(value.x0 for value in values)
    assert max(value.x1 for value in values) <= figure.bbox.x1
    for above, below in pairwise(values):
        assert above.y0 > below.y1


def test_the_same_figure_is_the_same_text_each_time(chapter):
    one, other = (live.live_figure(chapter, "holes")._repr_mimebundle_() for _ in range(2))
    assert one == other


def test_a_synthetic_head_is_called_synthetic_and_comes_first(chapter):
    config = live.live_figure(chapter, "components", heads=[("bridge", 2)]).config
    assert config["start"] == "bridge-2"
    assert config["sources"][-1] == {"key": "bridge-2", "label": "synthetic: bridge"}


def test_an_unknown_focus_is_refused_with_those_there_are(chapter):
    with pytest.raises(InvalidSetting, match="about 'colour'; choose one of threshold, components"):
        live.live_figure(chapter, "colour")


def test_the_book_gets_a_figure_that_holds_the_picture_and_its_alternative_text(chapter, tmp_path):
    figure = live.live_figure(chapter)
    output = published(figure, chapter.stack, tmp_path)
    html = output.data["text/html"]
    assert set(output.data) == {"text/html"}
    assert 'alt="A &quot;live&quot; &lt;figure&gt;"' in html
    assert b64decode(html.split("base64,")[1].split('"')[0]) == figure.png
    assert config_in(html)["note"] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"slice-{i}.js" for i in range(5)]


def test_a_slice_is_kept_without_loss(tmp_path):
    stack = small_stack()
    live.try_it(stack, PipelineSettings(), tmp_path)
    for index, image in enumerate(stack.images):
        data = slice_in(tmp_path / f"slice-{index}.js")
        with Image.open(BytesIO(b64decode(data["image"]))) as picture:
            assert picture.mode == "L"
            assert set(picture.info) == set()
            np.testing.assert_array_equal(np.asarray(picture), normalise(image))
        with Image.open(BytesIO(b64decode(data["reference"]))) as picture:
            np.testing.assert_array_equal(np.asarray(picture) // 255, stack.reference[index])
        assert data["spacing"] == [0.5, 0.7]


def test_without_a_reference_none_is_embedded(tmp_path):
    live.try_it(small_stack(reference=False), PipelineSettings(), tmp_path)
    assert "reference" not in slice_in(tmp_path / "slice-1.js")


def test_of_a_large_stack_a_few_slices_are_live_and_the_page_says_how_many(tmp_path):
    config = config_in(live.try_it(small_stack(176), PipelineSettings(), tmp_path))
    assert [source["key"] for source in config["sources"]] == [
        f"slice-{index}" for index in (0, 44, 88, 131, 175)
    ]
    assert config["start"] == "slice-88"
    assert config["note"] == "5 of 176 slices are live here."


def test_a_slice_too_large_for_a_page_is_left_out_and_the_page_says_so(tmp_path):
    noise = np.random.default_rng(6).integers(0, 256, (1200, 1000)).astype(np.float64)
    images = np.zeros((3, 1200, 1000))
    images[1] = noise
    large = Stack(images)
    config = config_in(live.try_it(large, PipelineSettings(), tmp_path))
    assert config["note"] == "2 of 3 slices are live here."
    assert config["start"] == "slice-0"
    assert not (tmp_path / "slice-1.js").exists()
    assert all(path.stat().st_size <= live.MOST_BYTES for path in tmp_path.iterdir())


def test_where_no_slice_can_be_live_the_picture_stays(tmp_path):
    stack = Stack(np.random.default_rng(7).integers(0, 256, (1, 1200, 1000)).astype(np.float64))
    figure = live.LiveFigure(b"\x89PNG", {"focus": "whole", **_config_of(stack)})
    output = published(figure, stack, tmp_path)
    assert set(output.data) == {"image/png", "text/plain"}


def _config_of(stack: Stack) -> dict[str, Any]:
    return {"sources": [{"key": "slice-0", "label": "slice 0"}], "start": "slice-0", "of": 1}


def test_no_name_of_a_file_or_a_patient_reaches_the_page(tmp_path):
    html = live.try_it(small_stack(), PipelineSettings(), tmp_path)
    assert "patient" not in html
    assert not any("patient" in path.read_text("ascii") for path in tmp_path.iterdir())


def test_the_page_to_try_says_for_which_pixels_the_width_was_chosen(tmp_path):
    html = live.try_it(small_stack(), PipelineSettings(kernel_width=9), tmp_path)
    size = phantom.BUILT_IN_SPACING_MM[0]
    assert f"{PipelineSettings().kernel_width}&nbsp;px fits" in html
    assert f"are {size:g}&nbsp;mm wide" in html
