"""The explorer without a front end: controls are set; picture, numbers and code are read."""

import gc
import re
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import any_settings

from skullnb import metrics, phantom
from skullnb.pipeline import PipelineSettings, create_skull_masks, trace_skull_mask
from skullnb.report import explore
from skullnb.report.explore import COLOURS, OUTLINES, STAGES, Explorer
from skullnb.stack import Stack, read_stack

SHAPE = (96, 80)


def heads_stack(n: int = 4, **words: Any) -> Stack:
    """Draw bright brains in dark rings in bright scalps, with noise; the ring's inside is right."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.hypot((rows - 48) / 40, (columns - 40) / 32)
    image = np.select([away < 0.75, away < 0.88, away < 1.0], [0.6, 0.05, 0.9], 0.02)
    images = image + np.random.default_rng(0).normal(0, 0.02, (n, *SHAPE))
    reference = np.stack([away < 0.88] * n).astype(np.uint8)
    given = {"reference": reference, "spacing_mm": (2.0, 2.5), **words}
    return Stack(images.astype(np.float32), **given)


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "PICTURE_PX", 120)


@pytest.fixture
def explorer() -> Explorer:
    return Explorer(heads_stack(), PipelineSettings(kernel_width=8))


def move(explorer: Explorer, **values: Any) -> None:
    for name, value in values.items():
        explorer.controls[name].value = value


def picture(explorer: Explorer) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(explorer.picture.value, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(found)[..., ::-1]


def facts(explorer: Explorer) -> dict[str, str]:
    return dict(re.findall(r"<th[^>]*>(.*?)&ensp;</th><td>(.*?)</td>", explorer.facts.value))


def run_code(explorer: Explorer, stack: Stack | None = None) -> np.ndarray:
    *lines, last = explorer.code.value.splitlines()
    names = {"chapter": type("Chapter", (), {"stack": stack})}
    exec("\n".join(lines), names)
    return np.asarray(eval(last, names))


def uploaded(name: str, content: bytes) -> tuple[dict[str, Any], ...]:
    one = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    return ({**one, "last_modified": datetime(2026, 1, 1)},)


def colours_of(explorer: Explorer) -> list[str]:
    return [tick.style.button_color for tick in explorer.strip.children]


moves = st.fixed_dictionaries(
    {},
    optional={
        "slice": st.integers(0, 3),
        "stage": st.sampled_from(STAGES),
        "kernel_width": st.integers(0, 40),
        "reach_mm": st.sampled_from([0.0, 2.0, 7.5, 20.0]),
        "otsu": st.booleans(),
        "threshold": st.integers(0, 255),
        "drop_edge_touching": st.booleans(),
        "border": st.sampled_from(["dilation", "dark growth"]),
        **{name: st.booleans() for name in OUTLINES},
    },
)


@settings(deadline=None, max_examples=20)
@given(any_settings(90) | st.just(PipelineSettings(reach_mm=5)), moves)
def test_from_any_start_after_any_moves_the_mask_is_the_pipelines_and_the_code_makes_it(
    start, values
):
    stack = heads_stack()
    explorer = Explorer(stack, start)
    assert explorer.settings == start
    move(explorer, **values)
    index = explorer.controls["slice"].value
    asked, spacing = explorer.settings, stack.spacing_mm
    expected = trace_skull_mask(stack.images[index], asked, spacing_mm=spacing)
    np.testing.assert_array_equal(explorer.trace.mask, expected.mask)
    np.testing.assert_array_equal(run_code(explorer, stack), expected.mask)
    in_mm = bool(explorer.controls["reach_mm"].value) or asked.border == "dark growth"
    for name in ("kernel_width", "drop_edge_touching"):
        if name in values and not (name == "kernel_width" and in_mm):
            assert getattr(asked, name) == values[name]
    assert (asked.reach_mm is not None) == in_mm
    assert asked.border == values.get("border", "dilation")
    assert (asked.threshold == "otsu") == values.get("otsu", start.threshold == "otsu")
    for name in ("kernel_shape", "connectivity", "fill_holes"):  # which have no control
        assert getattr(asked, name) == getattr(start, name)


def test_a_threshold_by_hand_starts_from_otsus_level_and_what_looks_wrong_is_said(explorer):
    level = explorer.trace.threshold
    assert explorer.controls["threshold"].disabled
    move(explorer, otsu=False)
    assert explorer.settings.threshold == level
    move(explorer, threshold=0)
    for warning in explorer.trace.warnings:
        assert f"<li>{warning.replace(chr(39), '&#x27;')}</li>" in explorer.facts.value
    move(explorer, threshold=255)
    assert "the mask is empty" in explorer.facts.value
    move(explorer, otsu=True)
    assert explorer.controls["threshold"].value == level


def test_the_facts_are_those_of_the_picture(explorer):
    move(explorer, slice=1, kernel_width=6)
    reference, mask = explorer.stack.reference[1], explorer.trace.mask
    said = facts(explorer)
    assert said["slice"].startswith("1 ")
    assert said["mask"] == f"{mask.sum():,} px, {mask.sum() * 0.05:.1f} cm²"
    assert said["IoU, Dice"].startswith(f"{metrics.iou(mask, reference):.4f}")
    assert said["ASSD"] == f"{metrics.assd(mask, reference, (2.0, 2.5)):.2f} mm"
    assert "6 px, reaches" in said["kernel"]


def test_a_bare_stack_has_no_scores_and_no_millimetres():
    explorer = Explorer(heads_stack(1, reference=None, spacing_mm=None, groups=["<b>x</b>"]))
    assert explorer.controls["reach_mm"].disabled
    assert explorer.controls["reference"].disabled
    assert not {"IoU, Dice", "ASSD"} & facts(explorer).keys()
    assert "mm" not in explorer.facts.value
    assert "<b>" not in explorer.facts.value
    explorer.open(heads_stack(), "stack = other")
    move(explorer, reach_mm=7.5)
    explorer.open(heads_stack(1, spacing_mm=None), "stack = again")
    assert explorer.settings.reach_mm is None


def test_every_stage_has_a_picture_of_its_own_in_the_proportions_of_the_head():
    explorer, seen = Explorer(heads_stack(spacing_mm=(3.0, 1.0))), set()
    for stage in STAGES:
        move(explorer, stage=stage)
        seen.add(explorer.picture.value)
        height, width = picture(explorer).shape[:2]
        assert height / width == pytest.approx(3 * SHAPE[0] / SHAPE[1], rel=0.03)
    assert len(seen) >= len(STAGES) - 1  # where filling has nothing to do, two are the same


def test_the_strip_shows_signs_and_leads_to_the_worst_slice():
    stack = heads_stack(6)
    images = np.array(stack.images)
    images[3] = 7  # flat
    images[4] = images[4] > 0.5  # two levels
    explorer = Explorer(replace(stack, images=images), PipelineSettings(kernel_width=6))
    expected = [COLOURS[one] for one in ("ok", "ok", "ok", "empty", "warned", "ok")]
    assert colours_of(explorer) == expected
    assert "1 wrong, 1 without a mask, 4 right" in explorer.about.value
    explorer.strip.children[4].click()
    assert explorer.controls["slice"].value == 4
    assert [tick.description for tick in explorer.strip.children] == [*4 * "\xa0", "●", "\xa0"]
    assert "slice 4: wrong" in explorer.strip.children[4].tooltip
    move(explorer, otsu=False, threshold=255)
    assert "before the last moves" in explorer.about.value
    explorer.buttons["Check all"].click()
    assert colours_of(explorer) == [COLOURS["empty"]] * 6
    assert explorer.buttons["Check all"].disabled


def test_of_very_many_slices_a_spread_is_checked(monkeypatch):
    monkeypatch.setattr(explore, "MOST_CHECKED", 12)
    monkeypatch.setattr(explore, "MOST_TICKS", 5)
    many = Stack(np.broadcast_to(heads_stack(1).images, (10_000, *SHAPE)))
    explorer = Explorer(many)
    assert len(explorer.rows) == 12
    assert len(explorer.strip.children) == 5
    assert "12 slices of 10,000, evenly spread" in explorer.about.value
    move(explorer, slice=1234)
    assert sum(tick.description == "●" for tick in explorer.strip.children) <= 1
    explorer.strip.children[1].click()
    assert explorer.strip.children[1].description == "●"


@pytest.mark.parametrize("border", ["dilation", "dark growth"])
def test_the_masks_of_all_slices_can_be_saved(explorer, tmp_path, monkeypatch, border):
    monkeypatch.chdir(tmp_path)
    move(explorer, border=border, reach_mm=10)
    explorer.buttons["Save all masks"].click()
    assert explorer.said.value == f"The masks are in {tmp_path / 'masks.nii.gz'}."
    assert explorer.about.value.startswith("4 slices: "), "the strip shows those very masks"
    saved = read_stack(tmp_path / "masks.nii.gz").images
    expected = create_skull_masks(explorer.stack.images, explorer.settings, (2.0, 2.5))
    np.testing.assert_array_equal(saved, expected)
    explorer.buttons["Save all masks"].click()
    assert "exists already" in explorer.said.value


@pytest.mark.parametrize("name", ["", "bridge", "file"])
def test_data_open_by_name_or_path_and_the_code_opens_them_too(
    explorer, name, tmp_path, monkeypatch
):
    drawn = heads_stack(2, name="drawn")  # a real one takes a while to draw
    monkeypatch.setattr(phantom, "variant", {"bridge": drawn}.get)
    if name == "file":
        name = str(tmp_path / "scans.npy")
        np.save(name, heads_stack(3).images)
        np.save(tmp_path / "masks.npy", heads_stack(3).reference)
        explorer.fields["reference"].value = str(tmp_path / "masks.npy")
        explorer.fields["spacing_mm"].value = "2x2"
    explorer.fields["images"].value = name
    explorer.buttons["Open"].click()
    assert explorer.said.value == ""
    assert explorer.controls["slice"].value == len(explorer.stack) // 2
    np.testing.assert_array_equal(run_code(explorer), explorer.trace.mask)
    assert explorer.stack.name == {"": "studyforrest", "bridge": "drawn"}.get(name, "scans")


def test_an_upload_is_read_and_keeps_nothing_on_the_disk(explorer, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    np.save(tmp_path / "scan.npy", heads_stack(2).images)
    content = (tmp_path / "scan.npy").read_bytes()
    explorer.upload.value = uploaded("../../my scan'.npy", content)
    assert explorer.said.value == ""
    assert len(explorer.stack) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["scan.npy"]
    assert 'read_stack("my scan\'.npy")' in explorer.code.value
    explorer.upload.value = uploaded("my scan.npy", content)  # the same again
    assert explorer.upload.value == ()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("broken.npy", b"no array", "broken.npy"), ("a.npy", bytes(21), "too large for an upload")],
)
def test_what_cannot_be_opened_is_said_and_changes_nothing(
    explorer, name, content, says, monkeypatch
):
    monkeypatch.setattr(explore, "UPLOAD_BYTES", 20)
    before = explorer.stack, explorer.code.value, explorer.picture.value
    explorer.upload.value = uploaded(name, content)
    assert says in explorer.said.value
    explorer.fields["images"].value = "<i>nowhere</i>.npy"
    explorer.buttons["Open"].click()
    assert "nowhere" in explorer.said.value
    assert "<i>" not in explorer.said.value
    assert (explorer.stack, explorer.code.value, explorer.picture.value) == before
    move(explorer, kernel_width=9)
    assert explorer.said.value == ""


def test_hundreds_of_moves_are_as_many_traces_and_leave_nothing_behind(explorer, monkeypatch):
    counted = mock.Mock(side_effect=trace_skull_mask)
    monkeypatch.setattr(explore, "trace_skull_mask", counted)
    sizes = []
    for _ in range(2):
        for step in range(200):
            explorer.controls["kernel_width"].value = step % 41 + 1
        assert counted.call_count == 200
        counted.reset_mock()
        gc.collect()
        sizes.append(len(gc.get_objects()))
    assert sizes[1] - sizes[0] < 200


def test_dark_growth_is_offered_with_its_own_reach_and_leads_back(explorer):
    move(explorer, reach_mm=5.0, border="dark growth")
    assert explorer.controls["reach_mm"].value == 14.0
    assert facts(explorer)["border"] == "dark growth, 14 mm at most"
    assert "border='dark growth'" in explorer.code.value
    move(explorer, border="dilation")
    assert explorer.settings.reach_mm == 5.0
    assert facts(explorer)["kernel"].startswith("5 px, ")
