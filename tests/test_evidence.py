import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import any_settings
from scipy import ndimage

from skullnb import evidence, metrics
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.evidence import build_ledger, combine, effect, summarise, switch_off, verdict
from skullnb.pipeline import RULES, PipelineSettings, trace_skull_mask
from skullnb.stack import Stack
from skullnb.study import article

GUARD, THRESHOLD, EDGE, LARGEST, DILATE, FILL = RULES


@st.composite
def stacks(draw):
    """Few grey levels in blocks: many components, frame contacts, holes, now and then flat."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(2, 30), st.integers(2, 30)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    block, rim = draw(st.integers(1, 5)), draw(st.integers(0, 1))
    big = rng.integers(0, draw(st.integers(1, 4)), size=shape).repeat(block, 1).repeat(block, 2)
    images = np.pad(big[:, : shape[1], : shape[2]], ((0, 0), (rim, rim), (rim, rim)))
    images.flat[rng.integers(images.size)] = draw(st.sampled_from([1, 250]))  # to levels 0 to 3
    kind = draw(st.sampled_from([np.float32, np.uint8, np.int16]))
    reference = rng.integers(0, rng.integers(1, 3, (shape[0], 1, 1)), images.shape, dtype=np.uint8)
    return Stack(images.astype(kind), reference, synthetic=draw(st.booleans()))


def literal_without(image, chosen, rule):
    """The method with one rule left out, written out at length; nothing is reused."""
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
    if rule != DILATE and chosen.kernel_width:
        shape = {"ellipse": cv2.MORPH_ELLIPSE, "rectangle": cv2.MORPH_RECT}[chosen.kernel_shape]
        size = (chosen.kernel_width, chosen.kernel_width)
        brain = cv2.dilate(brain, cv2.getStructuringElement(shape, size))
    if rule != FILL and chosen.fill_holes:
        brain = ndimage.binary_fill_holes(brain)
    return brain.astype(np.uint8)


@given(stacks(), any_settings(7))
@settings(max_examples=150, deadline=None)
def test_every_row_equals_a_recomputation_without_any_shared_stage(stack, chosen):
    ledger = build_ledger(stack, chosen)
    assert ledger.rule.tolist() == list(RULES) * len(stack)
    assert (set(ledger.group), set(ledger.synthetic)) == ({""}, {stack.synthetic})
    for row in ledger.itertuples():
        image = stack.images[row.position]
        mask, without = (literal_without(image, chosen, rule) for rule in (None, row.rule))
        assert np.array_equal(switch_off(trace_skull_mask(image, chosen), row.rule), without)
        assert row.changed_px == np.count_nonzero(mask != without)
        assert row.fired or row.changed_px == 0
        for name, one in (("", mask), ("_off", without)):
            for metric in ("iou", "dice"):
                reference = stack.reference[row.position]
                expected = getattr(metrics, metric)(one, reference) if reference.any() else np.nan
                assert np.array_equal(getattr(row, metric + name), expected, equal_nan=True)


def made(rules, synthetic=(False,)):
    """A ledger by hand: whether a rule fired, px changed and IoU with and without it, by slice."""
    rows = [
        ("", "", place, place, synthetic[place], name, fired, 9, changed, iou, iou, off, off)
        for name, slices in rules.items()
        for place, (fired, changed, iou, off) in enumerate(slices)
    ]
    return pd.DataFrame(rows, columns=evidence.LEDGER_COLUMNS)


QUIET, IDLE = (False, 0, 0.9, 0.9), (True, 0, 0.9, 0.9)
HELPS, HURTS, HARDLY = (True, 1, 0.9, 0.5), (True, 1, 0.5, 0.9), (True, 1, 0.0, 0.0005)
ON_REAL = {"a": [HELPS], "b": [QUIET], "c": [QUIET], "d": [QUIET], "e": [IDLE], "f": [HURTS]}


@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        (
            made(ON_REAL | {"g": [HARDLY]}),
            "3 of 7 rules exercised; b, c and d never fired: their value on your data is unknown; "
            "e fired and changed nothing; f lowers the mean IoU (0.500 with it, 0.900 without).",
        ),
        (
            made({"a": [QUIET, QUIET], "b": [IDLE, HELPS]}, (True, True)),
            "1 of 2 rules exercised; a never fired: its value on these slices is unknown. "
            "All of the slices are synthetic.",
        ),
        (
            made({"a": [QUIET, HELPS], "b": [QUIET, IDLE]}, (False, True)),
            "0 of 2 rules exercised; a exercised on synthetic slices only: its value on your data "
            "is unknown; b fired on synthetic slices only and changed nothing there: its value on "
            "your data is unknown. 1 of the 2 slices are synthetic.",
        ),
    ],
)
def test_the_verdict_names_every_rule_that_was_not_exercised_or_does_harm(ledger, said):
    assert verdict(ledger) == said


def test_an_account_counts_real_slices_apart_and_without_any_rests_on_the_drawn_ones():
    counts = ["n_slices", "n_fired", "n_changed", "n_real", "n_fired_real", "n_changed_real"]
    counts += ["n_pixels", "changed_px", "iou_off"]
    ledger = made({"a": [IDLE, QUIET, HELPS]}, (False, False, True))
    (mixed,) = summarise(ledger).itertuples()
    said = "synthetic only, changed 1 of 1 synthetic slices; fired on 1 of 2 real ones"
    assert (mixed.evidence, mixed.effect) == (said, "changes nothing")
    assert [getattr(mixed, one) for one in counts] == [3, 2, 1, 2, 1, 0, 27, 1, 0.9]
    (drawn,) = summarise(ledger[ledger.synthetic]).itertuples()
    needed, found = "exercised, changed 1 of 1", summarise(made(ON_REAL)).set_index("rule")
    assert (drawn.evidence, drawn.effect, drawn.iou_off) == (needed, "helps", 0.5)
    told = ["never fired, 0 of 1", "inert, fired on 1 of 1", needed]
    assert found.evidence["d":].tolist() == told
    assert found.effect["d":].tolist() == ["did not fire", "changes nothing", "hurts"]


def test_the_effect_says_how_the_mean_iou_changes():
    words = {0.8996: "hardly matters", 0.899: "helps", 0.901: "hurts", 1.8: "hurts"}
    words[1.81] = "destroys"
    assert {off: effect(1, 1, 0.9, off) for off in words} == words
    assert effect(1, 1, 0.0, 0.0005) == "hardly matters"
    assert effect(1, 1, np.nan, np.nan) == "changes the mask"


def test_volumes_and_stacks_stay_apart_and_slices_keep_their_numbers():
    seen = []
    part = Stack(np.zeros((9, 8, 8)), groups="b,a,b,a,b,a,a,a,a", name="one")[3:6]
    first = build_ledger(part, visit=seen.append)
    assert first[["iou", "dice_off"]].isna().all(axis=None)
    assert first.position.unique().tolist() == seen == [0, 1, 2]
    assert first.slice.unique().tolist() == [3, 4, 5]
    second = build_ledger(Stack(np.zeros((3, 8, 8)), groups="a,a,a", name="two"))
    both = combine([first, second])
    assert both.index.tolist() == list(range(len(both)))
    assert summarise(both, by="stack").n_slices.tolist() == [3] * 2 * len(RULES)
    found = summarise(both, by=["stack", "group"])
    n = found[found.rule == EDGE].set_index(["stack", "group"]).n_slices
    assert list(n.items()) == [(("one", "a"), 2), (("one", "b"), 1), (("two", "a"), 3)]


def test_what_makes_no_sense_is_refused_in_a_sentence():
    with pytest.raises(InvalidSetting, match=f"no rule 'erode'; the rules are {', '.join(RULES)}"):
        switch_off(trace_skull_mask(np.zeros((4, 4))), "erode")
    settings = PipelineSettings(), PipelineSettings(kernel_width=6)
    for ledgers in ([], [build_ledger(Stack(np.zeros((1, 4, 4))), one) for one in settings]):
        with pytest.raises(InvalidSetting, match=r"^There are no .* different settings\.$"):
            combine(ledgers)
    images = np.zeros((6, 4, 4))
    images[4, 1, 1] = np.nan
    with pytest.raises(InvalidImage, match="Slice 4"):
        build_ledger(Stack(images)[2:])
