import dataclasses
import itertools
import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from skullnb import metrics
from skullnb.bench.literal import literal_brain, literal_normalise
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.evidence import (
    DEFINITIONS,
    EXERCISED,
    INERT,
    NEVER_FIRED,
    STATUSES,
    SYNTHETIC_ONLY,
    build_ledger,
    combine,
    effect,
    status_of,
    switch_off,
    verdict,
)
from skullnb.phantom import published_stack, variant
from skullnb.pipeline import RULES, PipelineSettings, create_skull_mask, trace_skull_mask
from skullnb.results import Results
from skullnb.stack import Stack, read_stack, write_stack

GUARD, THRESHOLD, EDGE, LARGEST, DILATE, FILL = RULES


@st.composite
def stacks(draw):
    """Few grey levels in blocks: many components, frame contacts, holes, now and then flat."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(2, 30), st.integers(2, 30)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    block, levels = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    coarse = rng.integers(0, levels, size=shape)
    kind = draw(st.sampled_from([np.float32, np.float64, np.uint8, np.int16]))
    big = coarse.repeat(block, axis=1).repeat(block, axis=2)
    images = big[:, : shape[1], : shape[2]].astype(kind)
    if draw(st.booleans()):  # an empty rim, so that something does not touch the frame
        images[:, :1] = images[:, -1:] = 0
        images[:, :, :1] = images[:, :, -1:] = 0
    mask = rng.integers(0, 2, size=shape, dtype=np.uint8) if draw(st.booleans()) else None
    return Stack(images, mask, synthetic=draw(st.booleans()))


@st.composite
def any_settings(draw):
    return PipelineSettings(
        kernel_width=draw(st.integers(0, 7)),
        kernel_shape=draw(st.sampled_from(["ellipse", "rectangle"])),
        connectivity=draw(st.sampled_from([4, 8])),
        drop_edge_touching=draw(st.booleans()),
        threshold=draw(st.just("otsu") | st.integers(0, 255)),
        fill_holes=draw(st.booleans()),
    )


def literal_without(image, chosen, rule):
    """The article's method with one rule left out, written out at length; nothing is reused."""
    image = image.astype(np.float64) if image.dtype.kind in "iu" else image
    if rule == GUARD:
        with np.errstate(invalid="ignore"):
            low, high = image.min(), image.max()
            normalised = ((image - low) / (high - low) * 255).astype(np.uint8)
    else:
        normalised = literal_normalise(image)
    level = chosen.threshold
    if level == "otsu":
        level, _ = cv2.threshold(normalised, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    binary = (normalised > (0 if rule == THRESHOLD else level)).astype(np.uint8)
    drop = chosen.drop_edge_touching and rule != EDGE
    if rule == LARGEST:
        structure = np.ones((3, 3)) if chosen.connectivity == 8 else None
        labels, _ = ndimage.label(binary, structure)
        frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        brain = (labels > 0) & ~(drop & np.isin(labels, frame))
        brain = brain.astype(np.uint8)
    else:
        brain = literal_brain(binary, chosen.connectivity, drop)
    if rule != DILATE and chosen.kernel_width:
        shape = {"ellipse": cv2.MORPH_ELLIPSE, "rectangle": cv2.MORPH_RECT}[chosen.kernel_shape]
        size = (chosen.kernel_width, chosen.kernel_width)
        brain = cv2.dilate(brain, cv2.getStructuringElement(shape, size))
    if rule != FILL and chosen.fill_holes:
        brain = ndimage.binary_fill_holes(brain)
    return brain.astype(np.uint8)


@given(stacks(), any_settings())
@settings(max_examples=150)
def test_the_counts_equal_a_recomputation_without_any_shared_stage(stack, chosen):
    ledger = build_ledger(stack, chosen)
    for i, image in enumerate(stack.images):
        whole = literal_without(image, chosen, rule=None)
        for j, rule in enumerate(RULES):
            without = literal_without(image, chosen, rule)
            assert np.array_equal(switch_off(trace_skull_mask(image, chosen), rule), without)
            assert ledger.changed_px[i, j] == np.count_nonzero(whole != without)
            if stack.reference is None:
                assert np.isnan(ledger.iou_off[i, j])
                continue
            for name, found in (("iou", ledger.iou_off), ("dice", ledger.dice_off)):
                expected = getattr(metrics, name)(without, stack.reference[i])
                assert np.array_equal(found[i, j], expected, equal_nan=True)


@given(stacks(), any_settings())
@settings(max_examples=150)
def test_a_rule_that_did_not_fire_set_no_pixel_and_changes_nothing_when_switched_off(stack, chosen):
    ledger = build_ledger(stack, chosen)
    for i, image in enumerate(stack.images):
        for j, rule in enumerate(RULES):
            if not ledger.fired[i, j]:
                assert ledger.stage_px[i, j] == 0 or rule == THRESHOLD
                assert np.array_equal(
                    literal_without(image, chosen, rule), literal_without(image, chosen, None)
                )
                assert ledger.changed_px[i, j] == 0


@given(stacks())
@settings(max_examples=60)
def test_the_pixels_at_a_rules_own_stage_are_what_the_literal_stages_differ_by(stack):
    ledger = build_ledger(stack, PipelineSettings(kernel_width=3))
    for i, image in enumerate(stack.images):
        normalised = literal_normalise(image.astype(np.float64))
        level, binary = cv2.threshold(normalised, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        kept = literal_without(image, PipelineSettings(kernel_width=0, fill_holes=False), LARGEST)
        brain = literal_brain(binary)
        grown = cv2.dilate(brain, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
        filled = ndimage.binary_fill_holes(grown)
        assert ledger.stage_px[i].tolist() == [
            0,
            np.count_nonzero(normalised > level),
            np.count_nonzero(binary) - np.count_nonzero(kept),
            np.count_nonzero(kept) - np.count_nonzero(brain),
            np.count_nonzero(grown) - np.count_nonzero(brain),
            np.count_nonzero(filled) - np.count_nonzero(grown),
        ]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=6))
def test_every_rule_gets_exactly_the_status_that_its_definition_gives(slices):
    fired, changed, synthetic = np.array(slices, dtype=bool).reshape(-1, 3).T
    changed &= fired  # nothing changes where a rule did not fire
    real = ~synthetic
    on_phantoms = "exercised" if changed[synthetic].any() else "inert"
    holds = {
        NEVER_FIRED: not fired.any(),
        INERT: fired.any() and not changed.any() and (fired[real].any() or not real.any()),
        EXERCISED: changed.any() and (changed[real].any() or not real.any()),
        SYNTHETIC_ONLY: real.any()
        and (
            (on_phantoms == "exercised" and not changed[real].any())
            or (fired[synthetic].any() and not fired[real].any())
        ),
    }
    assert [status for status in STATUSES if holds[status]] == [
        status_of(fired, changed, synthetic)
    ]


def test_all_statuses_occur_among_two_slices():
    cases = [(False, False), (True, False), (True, True)]  # fired, changed
    found = {
        status_of(np.array([a[0], b[0]]), np.array([a[1], b[1]]), np.array([False, True]))
        for a, b in itertools.product(cases, cases)
    }
    assert found == set(STATUSES)


@given(stacks(), stacks())
@settings(max_examples=40)
def test_a_combined_ledger_holds_the_slices_of_its_parts(first, second):
    parts = [build_ledger(first), build_ledger(second)]
    both = combine(parts)
    assert len(both) == len(first) + len(second)
    assert both.synthetic.tolist() == [first.synthetic] * len(first) + [second.synthetic] * len(
        second
    )
    for rule in RULES:
        one, other, sum_of_both = (x.evidence(rule) for x in (*parts, both))
        for name in ("n_slices", "n_fired", "n_changed", "n_real", "stage_px", "changed_px"):
            assert getattr(sum_of_both, name) == getattr(one, name) + getattr(other, name)
    if not (first.synthetic or second.synthetic):
        assert SYNTHETIC_ONLY not in both.values()["status"].values()


@pytest.fixture(scope="module")
def built_in():
    return build_ledger(published_stack())


def test_on_the_built_in_stack_the_edge_rule_never_fired(built_in):
    assert str(built_in.evidence(EDGE)) == "never fired, 0 of 5"
    assert built_in.synthetic.all()


def test_on_the_built_in_stack_a_rule_that_changed_the_mask_is_exercised_and_said_to_be_synthetic(
    built_in,
):
    statuses = built_in.values()["status"]
    assert statuses == {
        GUARD: NEVER_FIRED,
        THRESHOLD: EXERCISED,
        EDGE: NEVER_FIRED,
        LARGEST: EXERCISED,
        DILATE: EXERCISED,
        FILL: NEVER_FIRED,
    }
    assert verdict(built_in) == (
        "3 of 6 rules exercised; flat-image guard, drop edge-touching and fill holes never fired: "
        "their value on these slices is unknown. All of the slices are synthetic."
    )


def head(**changes):
    """A bright ring around a bright disc, dark between, passed off as real."""
    rows, columns = np.indices((80, 80))
    radius = np.hypot(rows - 40, columns - 40)
    image = np.where((radius < 22) | ((radius >= 30) & (radius < 34)), 200.0, 4.0)
    mask = (radius < 25).astype(np.uint8)
    return dataclasses.replace(Stack(image[np.newaxis], mask[np.newaxis], name="scan"), **changes)


SMALL = PipelineSettings(kernel_width=6)


def cut(stack, columns):
    """The same slices in a frame that leaves columns off on the left."""
    reference = None if stack.reference is None else stack.reference[:, :, columns:]
    return dataclasses.replace(stack, images=stack.images[:, :, columns:], reference=reference)


SCALP, BRAIN = 8, 30  # columns that a frame has to leave off to cut the one and the other


def test_a_frame_that_cuts_the_scalp_makes_the_edge_rule_fire_and_change_nothing():
    stack = head()
    ledger = build_ledger(cut(stack, SCALP), SMALL)
    assert ledger.evidence(EDGE).status == INERT
    assert effect(ledger.evidence(EDGE)) == "changes nothing"
    assert "drop edge-touching fired and changed nothing" in verdict(ledger)


def test_a_frame_that_cuts_the_brain_makes_the_edge_rule_destroy_the_mask_and_says_so():
    stack = head()
    ledger = build_ledger(cut(stack, BRAIN), SMALL)
    evidence = ledger.evidence(EDGE)
    assert evidence.status == EXERCISED
    assert evidence.iou < 0.1 < 0.9 < evidence.iou_off
    assert effect(evidence) == "destroys"
    assert f"lowers the mean IoU ({evidence.iou:.3f} with it" in verdict(ledger)


def test_a_rule_exercised_on_a_phantom_alone_is_synthetic_only_once_real_slices_are_there():
    scan = head()
    drawn = head(synthetic=True, name="phantom")
    drawn = build_ledger(cut(drawn, BRAIN), SMALL)
    both = combine([build_ledger(scan, SMALL), drawn])
    assert drawn.evidence(EDGE).status == EXERCISED
    assert both.evidence(EDGE).status == SYNTHETIC_ONLY
    assert str(both.evidence(EDGE)).endswith(
        "changed 1 of 1 synthetic slices; fired on 0 of 1 real ones"
    )
    assert (
        "drop edge-touching exercised on synthetic slices only: its value on your data is unknown"
        in verdict(both)
    )
    assert verdict(both).endswith("1 of the 2 slices are synthetic.")
    assert "lowers" in verdict(drawn)
    assert "lowers" not in verdict(both)


def test_a_rule_that_only_fired_on_a_phantom_is_synthetic_only_too():
    scan, drawn = head(), head(synthetic=True)
    both = combine([build_ledger(scan, SMALL), build_ledger(cut(drawn, SCALP), SMALL)])
    assert both.evidence(EDGE).status == SYNTHETIC_ONLY
    assert "fired on synthetic slices only and changed nothing there" in verdict(both)


def test_a_rule_that_is_inert_on_real_slices_and_exercised_on_a_phantom_is_synthetic_only():
    scan, drawn = head(), head(synthetic=True)
    both = combine(
        [
            build_ledger(cut(scan, SCALP), SMALL),
            build_ledger(cut(drawn, BRAIN), SMALL),
        ]
    )
    assert both.evidence(EDGE).status == SYNTHETIC_ONLY
    assert "fired on 1 of 1 real ones" in str(both.evidence(EDGE))


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("scalp-cut-two-sides", INERT, "changes nothing"),
        ("thick-soft-tissue-cut", EXERCISED, "helps"),
        ("brain-touches-frame", EXERCISED, "destroys"),
    ],
)
def test_on_cut_phantoms_the_edge_rule_does_nothing_helps_or_destroys(name, status, word):
    evidence = build_ledger(variant(name)).evidence(EDGE)
    assert (evidence.status, effect(evidence), evidence.n_fired) == (status, word, 5)


def test_without_a_reference_the_masks_changes_are_counted_and_scores_are_unknown():
    stack = head(reference=None)
    evidence = build_ledger(stack, SMALL).evidence(DILATE)
    assert evidence.status == EXERCISED
    assert evidence.changed_px > 0
    assert np.isnan([evidence.iou, evidence.iou_off, evidence.dice, evidence.dice_off]).all()
    assert effect(evidence) == "changes the mask"


def test_a_flat_slice_fires_the_guard_and_no_other_rule():
    ledger = build_ledger(Stack(np.full((1, 9, 7), 5, dtype=np.int16)))
    assert ledger.fired.tolist() == [[True, False, False, False, False, False]]
    assert ledger.evidence(GUARD).status == INERT


def test_the_value_given_for_a_rule_left_out_by_the_settings_is_that_it_never_fired():
    stack = cut(head(), 20)
    off = PipelineSettings(6, drop_edge_touching=False, fill_holes=False)
    statuses = build_ledger(stack, off).values()["status"]
    assert statuses[EDGE] == statuses[FILL] == NEVER_FIRED


def test_volumes_of_one_stack_and_groups_of_the_same_name_stay_apart():
    images = np.zeros((3, 8, 8))
    first = build_ledger(Stack(images, groups="a,b,a", name="one"))
    second = build_ledger(Stack(images, groups="a,a,a", name="two"))
    volumes = combine([first, second]).by_volume()
    assert {name: len(part) for name, part in volumes.items()} == {
        ("one", "a"): 2,
        ("one", "b"): 1,
        ("two", "a"): 3,
    }


def test_slices_keep_the_numbers_of_their_file():
    assert build_ledger(Stack(np.zeros((9, 4, 4)))[3:5]).slices.tolist() == [3, 4]


def test_the_values_go_through_a_results_file_unchanged(tmp_path, built_in):
    results = Results("evidence")
    results.record(**built_in.values(), verdict=verdict(built_in))
    values = Results.read(results.write(tmp_path)).values
    assert values["rules"][EDGE]["n_fired"] == 0
    assert values["slices"]["slices"] == [0, 1, 2, 3, 4]
    assert values["changes"][EDGE]["fired"] == [False] * 5
    assert values["volumes"] == {"synthetic phantom / phantom": values["status"]}
    assert sum(values["changes"][DILATE]["changed_px"]) == values["rules"][DILATE]["changed_px"]
    json.dumps(values, allow_nan=False)


def test_an_ablation_does_not_begin_from_the_image_again(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "skullnb.evidence.ledger.trace_skull_mask",
        lambda *args, **kwargs: calls.append(1) or trace_skull_mask(*args, **kwargs),
    )
    labelled = []
    from skullnb.evidence import ablation

    original = ablation.label_components
    monkeypatch.setattr(ablation, "label_components", lambda *a: labelled.append(1) or original(*a))
    build_ledger(head(), SMALL)
    assert len(calls) == 1
    assert len(labelled) == 1  # for the threshold; no other rule comes before the components


def test_the_visitor_is_told_of_every_slice():
    seen = []
    build_ledger(Stack(np.zeros((3, 4, 4))), visit=seen.append)
    assert seen == [0, 1, 2]


def test_every_rule_has_a_definition_and_every_mask_is_what_the_pipeline_gives():
    assert tuple(DEFINITIONS) == RULES
    stack = head()
    trace = trace_skull_mask(stack.images[0])
    assert np.array_equal(switch_off(trace, GUARD), create_skull_mask(stack.images[0]))


def test_what_makes_no_sense_is_refused_in_a_sentence():
    trace = trace_skull_mask(np.zeros((4, 4)))
    ledger = build_ledger(Stack(np.zeros((1, 4, 4))))
    with pytest.raises(InvalidSetting, match="no rule 'erode'; the rules are flat-image guard"):
        switch_off(trace, "erode")
    with pytest.raises(InvalidSetting, match="no rule 'erode'"):
        ledger.evidence("erode")
    with pytest.raises(InvalidSetting, match="no ledger to combine"):
        combine([])
    with pytest.raises(InvalidSetting, match="different settings"):
        combine([ledger, build_ledger(Stack(np.zeros((1, 4, 4))), SMALL)])
    images = np.zeros((6, 4, 4))
    images[4, 1, 1] = np.nan
    with pytest.raises(InvalidImage, match="Slice 4"):
        build_ledger(Stack(images)[2:])


@pytest.mark.parametrize("name", ["head.npz", "head.nii.gz", "head.nii"])
def test_a_phantom_that_was_written_to_a_file_is_not_taken_for_a_scan(name, tmp_path):
    for synthetic in (True, False):
        write_stack(head(synthetic=synthetic), tmp_path / name, overwrite=True)
        assert read_stack(tmp_path / name).synthetic == synthetic


def test_a_drawn_file_in_a_folder_makes_the_whole_folder_synthetic(tmp_path):
    write_stack(head(), tmp_path / "a.npz")
    write_stack(head(synthetic=True), tmp_path / "b.npz")
    assert read_stack(tmp_path).synthetic


def test_scores_on_a_phantom_are_not_given_out_as_scores_on_scans():
    drawn = build_ledger(cut(head(synthetic=True), BRAIN), SMALL)
    with_reference = combine([build_ledger(head(), SMALL), drawn]).evidence(DILATE)
    without = combine([build_ledger(head(reference=None), SMALL), drawn]).evidence(DILATE)
    assert with_reference.iou == build_ledger(head(), SMALL).evidence(DILATE).iou
    assert np.isnan(without.iou)
    assert effect(combine([build_ledger(head(), SMALL), drawn]).evidence(EDGE)) == "did not fire"


def test_without_the_dilation_the_brains_own_holes_are_still_filled():
    image = np.zeros((40, 40))
    image[10:30, 10:30] = 1.0
    image[18:22, 18:22] = 0.0
    trace = trace_skull_mask(image, PipelineSettings(kernel_width=3))
    assert switch_off(trace, DILATE).sum() == trace.brain.sum() + 16
