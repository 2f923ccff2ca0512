"""Chapter 15, which opens a report: what it counts, what it scores, and what it shows first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from skullnb import heads
from skullnb.metrics import iou
from skullnb.pipeline import create_skull_mask
from skullnb.report.chapter import fill

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "15-your-data.ipynb"


def run(**parameters: Any) -> dict[str, Any]:
    """Run the cells of a report, without a kernel, up to the exercise; give their names."""
    mpl.use("agg")
    names: dict[str, Any] = {"display": lambda *shown: None}
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        tags = cell["metadata"]["tags"]
        if cell["cell_type"] == "code" and not {"book-only", "exercise"} & set(tags):
            exec("".join(cell["source"]), names)
        if "parameters" in tags:
            names.update(parameters)
    return names


@pytest.fixture(autouse=True)
def nothing_is_shown(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *shown, **words: None)


@pytest.mark.parametrize("is_hot", [False, True])
def test_scores_are_of_slices_with_a_reference_and_split_by_what_the_masks_look_like(
    tmp_path, is_hot
):
    stack = heads.load("studyforrest").select([5, 6, 7, 8, 9])
    images, reference = np.array(stack.images, dtype=float), np.array(stack.reference)
    images[3], reference[[0, 3]] = 7, 0  # a flat one
    if is_hot:
        images[1, :4, :4] = 20 * images.max()  # a corner
    np.save(tmp_path / "scans.npy", images)
    np.save(tmp_path / "masks.npy", reference)
    names = run(images=str(tmp_path / "scans.npy"), reference=str(tmp_path / "masks.npy"))
    values = names["chapter"].values
    assert (values["n"], values["n_empty"], values["n_flat"]) == (5, 1, 1)
    assert (values["n_ok"], values["empty"]) == (4 - is_hot, "3")
    assert (values["n_drawn"], values["n_scored"]) == (3, 3)
    assert values["scores"]["slice"] == [1, 2, 4]
    own = [iou(create_skull_mask(images[i]), reference[i]) for i in (1, 2, 4)]
    assert values["mean"]["all"] == pytest.approx(np.mean(own))
    assert values["mean"]["ok"] == pytest.approx(np.mean(own[is_hot:]))
    assert names["worst"] == [1] * is_hot  # nothing can be seen on a flat slice
    if is_hot:
        assert values["warned"] == "1"
        numbers = {one["slices that"]: one["number"] for one in values["split"]}
        assert numbers == {"look right": 2, "look wrong": 1, "all": 3}
        assert "slice 1" in [line.split(":")[0] for line in values["told"]]


@pytest.mark.parametrize("n", [1, 900])
def test_one_slice_and_very_many_are_shown_as_they_can_be(tmp_path, n):
    image = np.zeros((24, 20), np.uint8)
    image[6:18, 5:15] = 200
    np.save(tmp_path / "many.npy", np.tile(image, (n, 1, 1)))
    values = run(images=str(tmp_path / "many.npy"))["chapter"].values
    assert values["n_shown"] == min(n, 400)
    assert values["mean"] is None


@pytest.mark.parametrize("spacing", ["1x1", "0.67x0.7", ""])
def test_the_verdict_itself_says_that_the_kernel_does_not_suit_the_pixels(
    tmp_path, monkeypatch, spacing
):
    said: list[str] = []

    def say(template: str, values: Any) -> str:
        said.append(fill(template, values))
        return said[-1]

    monkeypatch.setattr("skullnb.report.chapter.fill", say)
    images = heads.load("studyforrest").images[6:9]
    np.save(tmp_path / "scans.npy", [cv2.resize(one, (183, 269)) for one in images])
    values = run(images=str(tmp_path / "scans.npy"), spacing_mm=spacing)["chapter"].values
    assert bool(values["remark"]) == (spacing == "1x1")
    is_said = f"right.** But on every slice {values['remark']}." in " ".join(said[0].split())
    assert (is_said, "Mind: " in said[-1]) == (spacing == "1x1",) * 2
