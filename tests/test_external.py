import json
from dataclasses import replace

import numpy as np
import pytest
from real_data import real_data

from skullnb.errors import InvalidSetting, UnreadableFile
from skullnb.evidence.verdict import NOTABLE_IOU
from skullnb.external import stored as store
from skullnb.external.alternatives import ALTERNATIVES, ARTICLE, Alternative, brain_by
from skullnb.external.choice import BRAIN, LOST, MERGED, PART, RING, what_was_chosen
from skullnb.external.cropping import (
    HELPS,
    LOSES,
    NOT_FIRED,
    NOTHING,
    SIDES,
    cut_into_head,
    edge_outcome,
)
from skullnb.external.gallery import FAILURES, HEIGHT_PX, PICTURED
from skullnb.external.measuring import CUTS, DEPTHS_MM, REACHES_MM, measure, pixel_mm, settings_for
from skullnb.external.numbers import quoted
from skullnb.external.rates import ANY, AREA_JUMP, BRIGHT_FAT, failed, sign_rates
from skullnb.heads import HEADS, MIRROR_VARIABLE, load
from skullnb.phantom import published_stack, variant
from skullnb.pipeline import PipelineSettings, trace_skull_mask


@pytest.fixture(scope="module")
def two_heads():
    """Two synthetic heads in the place of real ones, with coarse pixels to be quick."""
    heads = {}
    for name, kind in (("a", "narrow-gap"), ("b", "thick-soft-tissue")):
        stack = variant(kind)
        heads[name] = replace(
            stack,
            images=stack.images[:2, ::4, ::4],
            reference=stack.reference[:2, ::4, ::4],
            spacing_mm=tuple(4 * side for side in stack.spacing_mm),
            groups=(name,) * 2,
            geometry=None,
            name=name,
        )
    return heads


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("narrow-gap", BRAIN),
        ("thick-soft-tissue", RING),
        ("bridge", MERGED),
        ("hemispheres-apart", PART),
        ("brain-touches-frame", LOST),
    ],
)
def test_what_was_chosen_is_told_from_the_reference_mask(name, chosen):
    head = variant(name)
    for image, reference in zip(head.images, head.reference, strict=True):
        assert what_was_chosen(trace_skull_mask(image), reference) == chosen


def test_nothing_chosen_is_a_lost_brain():
    assert what_was_chosen(trace_skull_mask(np.zeros((8, 8))), np.ones((8, 8))) == LOST


def test_a_cut_takes_so_many_mm_off_the_bright_tissue_on_the_sides_named():
    image = np.zeros((40, 60))
    image[10:30, 15:45] = 1
    image[3, 3] = 1  # a speck in the air is no head
    assert cut_into_head(image, 2.0, (0.5, 1.0), SIDES) == (slice(14, 26), slice(17, 43))
    assert cut_into_head(image, 2.0, (0.5, 1.0), ("top",)) == (slice(14, 40), slice(0, 60))
    with pytest.raises(InvalidSetting, match="leaves nothing"):
        cut_into_head(image, 15.0, (1.0, 1.0), ("left", "right"))


def test_a_head_cut_on_all_sides_touches_all_sides():
    head = published_stack()
    frame = cut_into_head(head.images[0], 2.0, head.spacing_mm, SIDES)
    binary = trace_skull_mask(head.images[0][frame]).binary
    assert all(side.any() for side in (binary[0], binary[-1], binary[:, 0], binary[:, -1]))


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("narrow-gap", NOT_FIRED),
        ("scalp-cut-two-sides", NOTHING),
        ("thick-soft-tissue-cut", HELPS),
        ("brain-touches-frame", LOSES),
    ],
)
def test_the_edge_rules_outcome_gets_its_name(name, outcome):
    head = variant(name)
    found = edge_outcome(trace_skull_mask(head.images[0]), head.reference[0])
    assert found.outcome == outcome
    assert (found.iou - found.iou_off > NOTABLE_IOU) == (outcome == HELPS)
    assert (found.n_edge_touching == 0) == (outcome == NOT_FIRED)


def test_the_alternative_that_changes_nothing_is_the_articles_pipeline():
    for name in ("narrow-gap", "bridge-and-cut", "thick-soft-tissue", "noise"):
        image = variant(name).images[1]
        brain = brain_by(ARTICLE, image, 0.4)
        np.testing.assert_array_equal(brain, trace_skull_mask(image).brain)
    assert ARTICLE in ALTERNATIVES
    assert not brain_by(Alternative(innermost=True), np.zeros((9, 9)), 1.0).any()


def test_the_innermost_component_is_the_brain_where_the_scalp_is_larger():
    head = variant("thick-soft-tissue")
    brain = brain_by(Alternative(innermost=True), head.images[0], pixel_mm(head))
    assert not (brain & ~head.reference[0].astype(bool)).any()
    assert brain.sum() > 0.9 * (trace_skull_mask(head.images[0]).binary & head.reference[0]).sum()


def test_an_opening_parts_what_a_thin_bridge_joins():
    image = np.zeros((60, 60))
    image[5:55, 5:55] = image[16:44, 16:44] = 1
    image[8:52, 8:52] = 0
    image[16:44, 16:44] = 1
    image[30, 8:16] = 1
    assert brain_by(ARTICLE, image, 1.0).sum() > 28 * 28
    opened = brain_by(Alternative(opening_mm=1.0), image, 1.0)
    assert 0.95 * 28 * 28 < opened.sum() <= 28 * 28


def test_the_whole_check_runs_on_any_heads(two_heads):
    found = measure(two_heads, (ARTICLE, Alternative(innermost=True)))
    assert found["slices"]["chosen"] == [BRAIN, BRAIN, RING, RING]
    assert found["slices"]["signs"] == [[], [], ["scalp ring"], ["scalp ring"]]
    for table in (found["slices"], found["crops"]):
        assert len({len(column) for column in table.values()}) == 1
    assert len(found["crops"]["stack"]) == 4 * len(CUTS) * len(DEPTHS_MM)
    assert all(0 <= score <= 1 for score in found["slices"]["iou_mm"])


def test_the_reach_for_a_head_is_the_other_heads_best(two_heads):
    reach = measure(two_heads, (ARTICLE,))["reach"]
    best = {name: REACHES_MM[int(np.argmax(curve))] for name, curve in reach["iou"].items()}
    assert reach["chosen_mm"] == {"a": best["b"], "b": best["a"]}
    for name, mm in reach["chosen_mm"].items():
        assert reach["held_out_iou"][name] == reach["iou"][name][REACHES_MM.index(mm)]


def test_rules_are_chosen_on_the_other_heads_only(two_heads):
    chosen = measure(two_heads, (ARTICLE, Alternative(innermost=True)))["alternatives"]["chosen"]
    by_head = {one["held_out"]: one for one in chosen}
    # Head b shows that the innermost component is better; head a can't.
    assert by_head["a"]["innermost"]
    assert not by_head["b"]["innermost"]


def test_hits_and_false_alarms_are_counted_apart():
    slices = {
        "chosen": ["brain", "merged", "brain", "scalp ring"],
        "iou_mm": [0.95, 0.7, 0.85, 0.5],
        "signs": [["one part"], ["merged"], [], []],
        "area_change": [0.0, 0.3, -0.3, 0.1],
        "brightness": [1.5, None, 0.8, 1.2],
    }
    rates = {rate.sign: rate[1:] for rate in sign_rates(slices, failed(slices))}
    assert rates["merged"] == (1, 2, 0, 2)
    assert rates["one part"] == (0, 2, 1, 2)
    assert rates[ANY] == (1, 2, 1, 2)
    assert rates[AREA_JUMP] == (1, 2, 1, 2)
    assert rates[BRIGHT_FAT] == (1, 2, 1, 2)
    assert failed(slices, "iou").tolist() == [False, True, True, True]


def test_stored_numbers_are_of_the_registered_heads_and_all_their_slices():
    found = store.stored_results()
    names = found["slices"]["stack"]
    assert {name: names.count(name) for name in HEADS} == {
        name: head.n_slices for name, head in HEADS.items()
    }
    files = {file.name: file.sha256 for head in HEADS.values() for file in head.files}
    assert found["inputs"] == files
    assert {"python", "numpy", "opencv-python-headless"} <= set(found["versions"])


def test_what_is_quoted_follows_from_the_stored_tables():
    found = store.stored_results()
    said = quoted(found)
    assert said["n_wrong"] == sum(one != BRAIN for one in found["slices"]["chosen"])
    assert said["n_crops"] == said["n_slices"] * len(CUTS) * len(DEPTHS_MM)
    assert said["head_iou_mm"] == pytest.approx(
        np.mean(list(found["reach"]["held_out_iou"].values()))
    )
    changed = json.loads(json.dumps(found))
    changed["slices"]["chosen"][0] = MERGED
    assert quoted(changed)["n_wrong"] == said["n_wrong"] + 1


def test_no_grey_value_of_a_head_is_stored_only_small_components_and_masks():
    drawn = store.stored_pictures()
    assert len(drawn) == 2 * len(FAILURES)
    for i in range(len(FAILURES)):
        assert set(np.unique(drawn[f"parts_{i}"])) <= {0, 1, 2}
        assert set(np.unique(drawn[f"mask_{i}"])) <= {0, 1}
        assert drawn[f"mask_{i}"].shape == drawn[f"parts_{i}"].shape
        assert drawn[f"parts_{i}"].shape[0] == HEIGHT_PX


def test_without_the_heads_the_chapter_says_what_is_missing_and_when_it_was_measured(
    monkeypatch, tmp_path
):
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path))
    said = store.recheck()
    assert said.startswith("**Not measured here.**")
    assert all(name in said for name in HEADS)
    assert store.stored_results()["date"] in said
    assert str(tmp_path) not in said


def test_values_that_differ_are_counted():
    stored = {"a": [1.0, 2.0, None], "b": {"c": "x", "d": 3}, "not measured now": 7}
    assert store.compare(stored, {"a": [1.0, 2.0, None], "b": {"c": "x", "d": 3}}) == (5, 0)
    assert store.compare(stored, {"a": [1.0, 2.0000001, None]}) == (3, 0)
    assert store.compare(stored, {"a": [1.0, 2.1, None], "b": {"c": "y"}}) == (4, 2)
    assert store.compare(stored, {"a": [1.0]}) == (1, 1)
    assert store.compare(stored, {"new": 1}) == (1, 1)


def test_a_damaged_file_of_stored_numbers_is_a_clear_error(monkeypatch, tmp_path):
    broken = tmp_path / "results.json"
    broken.write_text('{"slices": ')
    monkeypatch.setattr(store, "RESULTS", broken)
    with pytest.raises(UnreadableFile, match="damaged; install skullnb"):
        store.stored_results.__wrapped__()


def test_a_kernel_in_mm_follows_the_pixel_and_leaves_all_else_as_the_article_has_it():
    stack = replace(published_stack(), spacing_mm=(0.5, 2.0))
    assert settings_for(stack, 7.0) == PipelineSettings(kernel_width=15)
    assert settings_for(replace(stack, spacing_mm=(0.5, 0.5)), 7.0).kernel_width == 29


def test_where_heads_are_missing_the_page_says_which_and_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "is_here", lambda head: head is not HEADS[PICTURED])
    said = store.recheck()
    assert said.startswith(f"**Not measured here.** This machine lacks {PICTURED}, so")
    assert store.stored_results()["date"] in said


def test_measured_numbers_are_stored_with_what_they_were_measured_on(monkeypatch, tmp_path):
    stack, found = published_stack(), {"reach": {"chosen_mm": {}}}
    for name, value in {
        "RESULTS": tmp_path / "results.json",
        "PICTURES": tmp_path / "pictures.npz",
        "load": lambda name, mirror: stack,
        "fetch": lambda head, mirror: [],
        "read_stack": lambda files: stack,
        "measure": lambda stacks: {**found, "slices": sorted(stacks)},
        "outlines": lambda stacks, reaches: [0.5],
        "unscored": lambda volume: {"n": len(volume)},
        "pictures": lambda volume: {"parts_0": volume.reference[0]},
    }.items():
        monkeypatch.setattr(store, name, value)
    store.write_results()
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["slices"] == sorted(HEADS)
    assert (content["outlines"], content["unscored"]) == ([0.5], {"n": 5})
    assert set(content["inputs"]) == {file.name for head in HEADS.values() for file in head.files}
    measured = {"crops", "rules", "verdict", "alternatives"}
    assert content.keys() == store.stored_results().keys() - measured
    with np.load(tmp_path / "pictures.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["parts_0"], stack.reference[0])


@pytest.mark.slow
def test_the_stored_numbers_are_what_the_heads_give(monkeypatch):
    monkeypatch.setenv(MIRROR_VARIABLE, str(real_data()))
    assert store.recheck().startswith("**Measured here again:** all ")


@pytest.mark.slow
def test_the_stored_pictures_and_outlines_are_of_these_heads(monkeypatch):
    from skullnb.external.gallery import outlines, pictures, unscored
    from skullnb.stack import read_stack

    mirror = real_data()
    volume = read_stack(mirror / HEADS[PICTURED].files[0].name)
    drawn, stored = pictures(volume), store.stored_pictures()
    for name, picture in drawn.items():
        np.testing.assert_array_equal(picture, stored[name])
    found = store.stored_results()
    assert unscored(volume) == found["unscored"]
    stacks = {name: load(name, mirror) for name in HEADS}
    assert store.compare(found["outlines"], outlines(stacks, found["reach"]["chosen_mm"]))[1] == 0
