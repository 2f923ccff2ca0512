import dataclasses

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from skullnb import metrics
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.evidence import (
    EXERCISED,
    INERT,
    NEVER_FIRED,
    SYNTHETIC_ONLY,
    build_ledger,
    combine,
    summarise,
    switch_off,
    verdict,
)
from skullnb.phantom import published_stack
from skullnb.pipeline import RULES, PipelineSettings, trace_skull_mask
from skullnb.stack import Stack
from skullnb.study import article

GUARD, THRESHOLD, EDGE, LARGEST, DILATE, FILL = RULES
SMALL = PipelineSettings(kernel_width=6)


def of(ledger, rule):
    return summarise(ledger).set_index("rule").loc[rule]


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


any_settings = st.builds(
    PipelineSettings,
    kernel_width=st.integers(0, 7),
    kernel_shape=st.sampled_from(["ellipse", "rectangle"]),
    connectivity=st.sampled_from([4, 8]),
    drop_edge_touching=st.booleans(),
    threshold=st.just("otsu") | st.integers(0, 255),
    fill_holes=st.booleans(),
)


def literal_without(image, chosen, rule):
    """The method's stages with one rule left out, written out at length; nothing is reused."""
    image = image.astype(np.float64) if image.dtype.kind in "iu" else image
    if rule == GUARD:
        with np.errstate(invalid="ignore"):
            low, high = image.min(), image.max()
            levels = ((image - low) / (high - low) * 255).astype(np.uint8)
    else:
        levels = article.normalise(image)
    level = chosen.threshold
    if level == "otsu":
        level, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    binary = (levels > (0 if rule == THRESHOLD else level)).astype(np.uint8)
    _, labels = cv2.connectedComponents(binary, connectivity=chosen.connectivity)
    if chosen.drop_edge_touching and rule != EDGE:
        frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        labels[np.isin(labels, frame)] = 0
    if rule != LARGEST and labels.any():
        labels[labels != 1 + np.bincount(labels.ravel())[1:].argmax()] = 0
    brain = (labels > 0).astype(np.uint8)
    stages = {"binary": binary, "brain": brain}
    if rule != DILATE and chosen.kernel_width:
        shape = {"ellipse": cv2.MORPH_ELLIPSE, "rectangle": cv2.MORPH_RECT}[chosen.kernel_shape]
        size = (chosen.kernel_width, chosen.kernel_width)
        brain = cv2.dilate(brain, cv2.getStructuringElement(shape, size))
    stages["dilated"] = brain
    if rule != FILL and chosen.fill_holes:
        brain = ndimage.binary_fill_holes(brain)
    return stages | {"mask": brain.astype(np.uint8)}


@given(stacks(), any_settings)
@settings(max_examples=150, deadline=None)
def test_every_row_equals_a_recomputation_without_any_shared_stage(stack, chosen):
    ledger = build_ledger(stack, chosen)
    assert ledger.rule.tolist() == list(RULES) * len(stack)
    for row in ledger.itertuples():
        image = stack.images[row.position]
        stages = literal_without(image, chosen, None)
        without = literal_without(image, chosen, row.rule)["mask"]
        assert np.array_equal(switch_off(trace_skull_mask(image, chosen), row.rule), without)
        assert row.changed_px == np.count_nonzero(stages["mask"] != without)
        n = {name: np.count_nonzero(stage) for name, stage in stages.items()}
        n["kept"] = np.count_nonzero(literal_without(image, chosen, LARGEST)["brain"])
        did = [0, n["binary"], n["binary"] - n["kept"], n["kept"] - n["brain"]]
        did += [n["dilated"] - n["brain"], n["mask"] - n["dilated"]]
        assert row.n_pixels == did[RULES.index(row.rule)]
        assert row.fired or (row.changed_px == 0 and (row.n_pixels == 0 or row.rule == THRESHOLD))
        for name, mask in (("", stages["mask"]), ("_off", without)):
            for metric in ("iou", "dice"):
                expected = np.nan
                if stack.reference is not None:
                    expected = getattr(metrics, metric)(mask, stack.reference[row.position])
                assert np.array_equal(getattr(row, metric + name), expected, equal_nan=True)


def rows_of(slices):
    """A ledger of one rule, from (fired, changed, synthetic) of each slice."""
    rows = [("x", fired, int(fired and changed), drawn) for fired, changed, drawn in slices]
    table = pd.DataFrame(rows, columns=["rule", "fired", "changed_px", "synthetic"])
    return table.assign(n_pixels=0, iou=np.nan, dice=np.nan, iou_off=np.nan, dice_off=np.nan)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6))
@settings(deadline=None)
def test_every_rule_gets_exactly_the_status_that_its_definition_gives(slices):
    fired, changed, synthetic = np.array(slices, dtype=bool).T
    changed &= fired  # nothing changes where a rule did not fire
    real = ~synthetic
    reached = fired + 1 * changed  # an index of the statuses
    on_all, on_real = reached.max(), reached[real].max(initial=-1)
    status = (NEVER_FIRED, INERT, EXERCISED)[on_all]
    if -1 < on_real < on_all:
        status = SYNTHETIC_ONLY
    counts = {
        NEVER_FIRED: f"0 of {len(slices)}",
        INERT: f"fired on {fired.sum()} of {len(slices)}",
        EXERCISED: f"changed {changed.sum()} of {len(slices)}",
        SYNTHETIC_ONLY: f"changed {changed[synthetic].sum()} of {synthetic.sum()} synthetic slices;"
        f" fired on {fired[real].sum()} of {real.sum()} real ones",
    }
    found = summarise(rows_of(slices)).loc[0]
    assert (found.status, found.evidence) == (status, f"{status}, {counts[status]}")


@given(stacks(), stacks())
@settings(max_examples=40, deadline=None)
def test_a_combined_ledger_holds_the_slices_of_its_parts(first, second):
    parts = [build_ledger(first), build_ledger(second)]
    one, other, whole = (summarise(part) for part in (*parts, combine(parts)))
    for name in ("n_slices", "n_fired", "n_changed", "n_real", "n_pixels", "changed_px"):
        assert (whole[name] == one[name] + other[name]).all()


def test_on_the_built_in_stack_the_verdict_is_known_and_said_to_be_synthetic():
    assert verdict(build_ledger(published_stack())) == (
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


def cut(columns, **changes):
    """The ledger of the same slice in a frame that leaves columns off on the left."""
    stack = head()
    left = {"images": stack.images[:, :, columns:], "reference": stack.reference[:, :, columns:]}
    return build_ledger(head(**{**left, **changes}), SMALL)


WHOLE, SCALP, BRAIN = 0, 8, 30  # columns that a frame has to leave off to cut the one or the other


@pytest.mark.parametrize(
    ("real", "drawn", "status", "effect", "said"),
    [
        (SCALP, None, INERT, "changes nothing", "fired and changed nothing."),
        (BRAIN, None, EXERCISED, "destroys", "lowers the mean IoU (0.0"),
        (WHOLE, BRAIN, SYNTHETIC_ONLY, "did not fire", "exercised on synthetic slices only: its "),
        (WHOLE, SCALP, SYNTHETIC_ONLY, "did not fire", "fired on synthetic slices only and chan"),
        (SCALP, BRAIN, SYNTHETIC_ONLY, "changes nothing", "exercised on synthetic slices only: "),
    ],
)
def test_what_a_cut_scalp_or_brain_shows_is_said_by_the_verdict(real, drawn, status, effect, said):
    parts = [cut(real)] + ([] if drawn is None else [cut(drawn, synthetic=True)])
    ledger = combine(parts)
    assert (of(ledger, EDGE).status, of(ledger, EDGE).effect) == (status, effect)
    assert said in verdict(ledger)
    assert ("lowers" in verdict(ledger)) == (real == BRAIN)
    if drawn:
        assert "value on your data is unknown" in verdict(ledger)
        assert verdict(ledger).endswith("1 of the 2 slices are synthetic.")
    # A score on a phantom is none on scans.
    assert of(ledger, DILATE).iou == of(parts[0], DILATE).iou


@pytest.mark.parametrize(
    ("iou", "iou_off", "word"),
    [
        (0.9, 0.8996, "hardly matters"),
        (0.9, 0.899, "helps"),
        (0.9, 0.901, "hurts"),
        (0.4, 0.81, "destroys"),
        (np.nan, np.nan, "changes the mask"),
    ],
)
def test_the_effect_says_how_the_mean_iou_changes(iou, iou_off, word):
    ledger = rows_of([(True, True, False)]).assign(iou=iou, iou_off=iou_off)
    assert summarise(ledger).effect[0] == word


def test_scores_of_phantoms_do_not_stand_in_for_those_of_scans_without_a_reference():
    bare = build_ledger(head(reference=None), SMALL)
    assert of(bare, DILATE).effect == "changes the mask"
    assert np.isnan(of(combine([bare, cut(BRAIN, synthetic=True)]), DILATE).iou)


def test_volumes_of_one_stack_and_groups_of_the_same_name_stay_apart():
    images = np.zeros((3, 8, 8))
    first = build_ledger(Stack(images, groups="b,a,b", name="one"))
    second = build_ledger(Stack(images, groups="a,a,a", name="two"))
    found = summarise(combine([first, second]), by=["stack", "group"])
    n = found[found.rule == EDGE].set_index(["stack", "group"]).n_slices
    assert list(n.items()) == [(("one", "b"), 2), (("one", "a"), 1), (("two", "a"), 3)]


def test_slices_keep_their_place_in_the_stack_and_the_number_of_their_file():
    seen = []
    ledger = build_ledger(Stack(np.zeros((9, 4, 4)))[3:5], visit=seen.append)
    assert ledger.position.unique().tolist() == seen == [0, 1]
    assert ledger.slice.unique().tolist() == [3, 4]


def test_what_makes_no_sense_is_refused_in_a_sentence():
    ledger = build_ledger(Stack(np.zeros((1, 4, 4))))
    with pytest.raises(InvalidSetting, match="no rule 'erode'; the rules are flat-image guard"):
        switch_off(trace_skull_mask(np.zeros((4, 4))), "erode")
    with pytest.raises(InvalidSetting, match="no ledger to combine"):
        combine([])
    with pytest.raises(InvalidSetting, match="different settings"):
        combine([ledger, build_ledger(Stack(np.zeros((1, 4, 4))), SMALL)])
    images = np.zeros((6, 4, 4))
    images[4, 1, 1] = np.nan
    with pytest.raises(InvalidImage, match="Slice 4"):
        build_ledger(Stack(images)[2:])
