import ast
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from real_data import real_data

from skullnb import heads
from skullnb.metrics import iou
from skullnb.phantom import published_stack, variant
from skullnb.pipeline import (
    PipelineSettings,
    label_components,
    measure_slice,
    measure_stack,
    normalise,
    trace_skull_mask,
)
from skullnb.pipeline import signs as s
from skullnb.stack import read_stack

Y, X = np.mgrid[:200, :200] - 100
RADIUS = np.hypot(Y, X)
IMAGES = arrays(
    np.uint8, st.tuples(st.integers(2, 12), st.integers(2, 12)), elements=st.integers(0, 9)
)


def signs(image, spacing_mm=None, **settings):
    """Names of the signs of a slice."""
    trace = trace_skull_mask(image, PipelineSettings(**settings), spacing_mm=spacing_mm)
    found = s.warnings_of(trace.facts, trace.settings, spacing_mm, trace.reason)
    assert tuple(found.values()) == trace.warnings
    assert list(found) == [name for name in s.SIGNS if name in found]
    return list(found)


def head(brain=70, gap=76, scalp=90):
    """Draw a slice of plain rings: brain, dark bone, bright scalp."""
    rings = [radius > RADIUS for radius in (brain, gap, scalp)]
    return np.select(rings, [150, 20, 180], 0)


def bridge(image):
    """Join brain and scalp."""
    return np.where((abs(X) < 10) & (Y < 0) & (image == 20), 150, image)


def confusion(stack, **settings):
    """Count wrong choices, those of them with a sign, and right ones with a sign."""
    found = np.zeros(3, dtype=int)
    for image, reference in zip(stack.images, stack.reference, strict=True):
        trace = trace_skull_mask(image, PipelineSettings(**settings), spacing_mm=stack.spacing_mm)
        inside = reference > 0
        outside = trace.brain[~inside].sum() > 0.05 * trace.brain.sum()
        wrong = bool(outside or trace.brain[inside].sum() < 0.7 * trace.binary[inside].sum())
        warned = bool(trace.warnings)
        found += [wrong, wrong and warned, warned and not wrong]
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("thick-soft-tissue", s.SCALP_RING),
        ("strong-coil", s.SCALP_RING),
        ("bridge", s.MERGED),
        ("hemispheres-apart", s.PART),
        ("brain-touches-frame", s.DROPPED),
        *((name, "") for name in ("scalp-cut-all-sides", "vertex-cut", "wide-gap")),
    ],
)
def test_a_head_shows_the_sign_of_the_failure_that_it_was_built_for_or_none(name, expected):
    stack = variant(name)
    for image in stack.images[::2]:
        found = signs(image, stack.spacing_mm)
        assert expected in found if expected else not found


def test_the_published_slices_show_none_and_where_nothing_was_chosen_only_that_is_said():
    stack = published_stack()
    assert [signs(image, stack.spacing_mm) for image in stack.images] == [[]] * len(stack)
    assert signs(np.zeros((20, 20))) == [s.EMPTY]
    assert signs(np.outer(np.ones(20), np.arange(20)), (1.0, 1.0)) == [s.EMPTY]


def test_of_a_speck_only_its_size_and_what_was_dropped_are_told():
    speck = {s.TWO_LEVELS, s.SMALL}
    binary = np.zeros((80, 80), dtype=np.uint8)
    binary[10:12, 10:12] = 1
    assert set(signs(binary * 1.0, kernel_width=3)) - {s.HOT} == speck
    binary[20:22, 50:52] = 1
    assert set(signs(binary * 1.0, kernel_width=3)) - {s.HOT} == speck
    binary[60:, :] = np.arange(80) % 20 > 0
    assert signs(binary * np.uint8(200) + np.arange(80, dtype=np.uint8) % 9) == [s.DROPPED]


def test_a_filled_and_a_hollow_outermost_component_get_different_names():
    for inner, expected in ((-1, s.MERGED), (70, s.SCALP_RING)):
        assert signs(np.where((RADIUS < 80) & (inner < RADIUS), 100 + X // 20, 0)) == [expected]


@pytest.mark.parametrize("gap", [45, 60, 90])
def test_a_mask_that_is_open_at_one_side_is_hollow(gap):
    """A bright rim is taken for the brain."""
    image = np.select([(RADIUS > 86) & (RADIUS < 92), RADIUS < 72], [300, 120], 0)
    angle = np.degrees(np.arctan2(X, Y))
    image = np.where((RADIUS < 72) & (RADIUS > 60) & (abs(angle) > gap / 2), 400, image)
    for turned in (image, image.T, image[::-1]):
        assert s.HOLLOW in signs(turned, kernel_width=11)


@pytest.mark.parametrize("mm", [0.2, 0.52, 1.0])
def test_size_is_judged_in_cm2_where_the_pixel_size_is_known(mm):
    image = np.zeros((200, 256))
    image[90:110, 100:108], image[40:48, 60:66], image[150:156, 120:128] = 200, 180, 170
    assert s.SMALL in signs(image, (mm, mm), kernel_width=19)
    assert s.SMALL not in signs(image, kernel_width=19)


def test_a_mask_that_no_head_could_fill_is_too_large():
    assert signs(head(), (1.0, 1.0), kernel_width=15) == []
    assert signs(head(), (1.5, 1.5), kernel_width=11) == [s.LARGE]
    assert signs(head()[20:-20, 20:-20], kernel_width=45) == [s.LARGE]


@pytest.mark.parametrize("level", [0, 90, 150, 180, 255])
@pytest.mark.parametrize("place", ["corners", "corner", "band", "frame"])
def test_padding_is_no_tissue_whatever_its_level_and_place(level, place):
    padding = {
        "corners": abs(X) + abs(Y) > 150,
        "corner": X + Y > 130,
        "band": Y > 91,
        "frame": np.maximum(abs(X), abs(Y)) > 93,
    }[place]
    for image, expected in ((head(), []), (bridge(head()), [s.MERGED])):
        padded = np.where(padding, level, image)
        assert signs(padded, kernel_width=9) == expected
        blurred = cv2.blur(padded.astype(np.float32), (3, 3))
        assert signs(blurred, kernel_width=9) == expected


def test_tissue_that_touches_the_frame_is_no_padding():
    image = np.where((Y > 80) & (abs(X) < 60), 150 + X // 4, head())
    assert trace_skull_mask(image).facts.padding_px == 0
    assert trace_skull_mask(np.where(Y > 93, 150, head())).facts.padding_px == 6 * 200


def test_what_the_frame_cuts_off_hides_no_missing_half_and_makes_no_brain_merged():
    halves = np.where((RADIUS < 70) & (abs(X) < 4), 0, head(scalp=83))
    assert signs(halves, kernel_width=9) == [s.PART]
    assert s.PART in signs(halves[:, 45:], kernel_width=9)
    assert signs(head()[25:-25, 25:-25], kernel_width=9) == []


def test_two_levels_and_a_hot_pixel_are_no_scan():
    for low, high in ((0, 1), (0, 255), (-5.0, 1e9)):
        assert s.TWO_LEVELS in signs(np.where(head() > 100, high, low), kernel_width=9)
    image = head().astype(float)
    assert signs(image, kernel_width=9) == []
    image[3, 3] = 1e5
    assert s.HOT in signs(image)


@pytest.mark.parametrize(
    ("width", "mm", "wide"),
    [(26, 0.375, False), (26, 1.0, False), (33, 1.0, False), (35, 1.0, True), (26, 3.0, True)],
)
def test_a_kernel_that_reaches_twice_as_far_as_any_head_chose_is_told(width, mm, wide):
    assert (s.WIDE_KERNEL in signs(head(), (mm, mm), kernel_width=width)) == wide
    assert s.WIDE_KERNEL not in signs(head(), kernel_width=width)


@pytest.mark.parametrize(
    ("mm", "reach", "width", "nearest"),
    [((3.0, 3.0), "37.5 mm", 5, "6 mm"), ((3.0, 1.5), "37.5 x 18.8 mm", 7, "9 x 4.5 mm")],
)
def test_the_sentence_on_a_wide_kernel_names_both_ways_out(mm, reach, width, nearest):
    sentence = trace_skull_mask(head(), spacing_mm=mm).warnings[0]
    assert f"26 px reaches {reach}" in sentence
    assert sentence.endswith(
        f"--reach-mm 7.5, or --kernel-width {width}, the nearest of odd width, reaches {nearest}"
    )


def test_tissue_mostly_outside_the_chosen_component_and_noise_in_air_are_told():
    image = head(55, 62, 88)
    image[:, :70] = np.where(image[:, :70] == 20, 0, image[:, :70])
    image[abs(Y) < 3] = image[abs(X) < 3] = 0
    assert s.OUTSIDE in signs(image, kernel_width=9)
    noise = np.random.default_rng(1).rayleigh(size=RADIUS.shape)
    noise = noise**2 * np.exp(-((RADIUS / 60) ** 2))
    assert set(signs(noise)) & {s.SPARSE, s.SCALP_RING}


@given(IMAGES, st.data())
def test_turning_or_mirroring_changes_no_fact(image, data):
    place = data.draw(st.tuples(*(st.integers(0, n - 1) for n in image.shape)))
    number = np.arange(image.size).reshape(image.shape)

    def facts(turn):
        levels = normalise(turn(image))
        binary = (levels > 100).astype(np.uint8)
        labels, components = label_components(binary)
        chosen = int(labels.ravel()[turn(number).ravel() == number[place]][0])
        return s.facts_of(levels, binary, labels, components, chosen, binary)[2:]

    expected = facts(np.array)
    for turn in (np.flipud, np.fliplr, np.transpose):
        assert facts(lambda pixels, turn=turn: np.ascontiguousarray(turn(pixels))) == expected


@given(st.sampled_from([1e-9, 0.5, 3.0, 1e12]), st.sampled_from([0.0, 8.0]))
def test_scaling_the_intensities_changes_no_sign(scale, offset):
    for image in (head(), bridge(head()), head(40, 46, 99)):
        assert signs((image + offset) * scale) == signs(image)


@given(IMAGES)
def test_a_hull_holds_the_pixels_whose_centres_lie_in_it(image):
    binary = (image > 7).astype(np.uint8)
    if not binary.any():
        return
    corners = cv2.convexHull(cv2.findNonZero(binary))
    inside = [
        cv2.pointPolygonTest(corners, (float(x), float(y)), measureDist=False) >= 0
        for y, x in np.ndindex(image.shape)
    ]
    # One component, whether its pixels touch or not.
    component = label_components(np.ones((1, 1), dtype=np.uint8))[1]
    found = s.facts_of(binary, binary, binary.astype(np.int32), component, 1, binary)
    assert found.hull_px == found.mask_hull_px == sum(inside)
    assert found.bright_in_hull_px == binary.sum()


@given(IMAGES, st.floats(0, 1))
def test_a_quantile_of_counts_is_that_of_the_pixels(image, share):
    found = s.quantile_of_counts(np.bincount(image.ravel(), minlength=256), share)
    assert found == pytest.approx(np.quantile(image, share))


def jumps(areas, levels=None, volumes="", numbers=None, step_mm=0.0, warned=None):
    """Signs beside neighbours, of slices of one volume in their order unless told otherwise."""
    n = len(areas)
    numbers, warned = range(n) if numbers is None else numbers, warned or [False] * n
    volumes, levels = list(volumes or "a" * n), levels or [50] * n
    return s.neighbour_signs(areas, levels, volumes, numbers, [step_mm] * n, warned)


def test_a_slice_unlike_its_neighbours_is_told_in_one_sentence():
    found = jumps([100, 104, 60, 108, 112, 0, 116], [50, 50, 50, 90, 50, 0, 50])
    assert [list(one) for one in found] == [
        *([], [], [s.AREA_JUMP], [s.THRESHOLD_JUMP]),
        *([], [], []),
    ]
    assert [*found[2].values()] == ["the mask is 44% smaller than those of the slices around it"]
    both = jumps([100, 100, 3785, 100, 100], [20, 20, 30, 20, 20])[2]
    assert list(both) == [s.AREA_JUMP, s.THRESHOLD_JUMP]
    assert set(both.values()) == {
        "the mask is 37.9 times as large as, and the threshold is 50% higher than, "
        "those of the slices around it"
    }
    assert "is 200% larger than those" in jumps([100, 100, 300, 100, 100])[2][s.AREA_JUMP]


@pytest.mark.parametrize(
    "others",
    [
        {"areas": [100, 100, 50, 50, 100, 50], "volumes": "aabbab"},
        {"areas": [100, 100, *[0] * 5, 50]},
        {"areas": [100, 100, 50, 100, 100], "volumes": [""] * 5},
        {"areas": []},
    ],
)
def test_only_slices_of_the_same_volume_are_compared(others):
    assert not any(jumps(**others))


def test_a_right_slice_among_warned_ones_is_left_in_peace():
    areas = [300, 300, 200, 300, 300, 205, 210]
    assert jumps(areas)[2]
    assert not jumps(areas, warned=[1, 1, 0, 1, 1, 0, 0])[2]


@pytest.mark.parametrize(
    ("numbers", "step_mm", "is_told"),
    [
        ([0, 1, 2, 3, 4], 1.0, True),
        ([4, 3, 2, 1, 0], 1.0, True),
        ([0, 5, 10, 15, 20], 0.1, True),
        ([0, 5, 10, 15, 20], 1.0, True),
        ([0, 5, 10, 15, 20], 2.5, False),
        ([0, 6, 12, 18, 24], 0.0, False),
        ([0, 1, 2, 3, 4], 5.0, True),
        ([0, 1, 2, 3, 4], 16.0, False),
        ([7] * 5, 0.0, True),  # files with a slice each
    ],
)
def test_only_slices_close_by_are_neighbours(numbers, step_mm, is_told):
    found = jumps([100, 100, 50, 100, 100], numbers=numbers, step_mm=step_mm)
    assert bool(found[2]) == is_told


@pytest.mark.parametrize("step", [1, 2, 3, 4, 6, 8, 12])
def test_no_right_slice_is_unlike_its_neighbours_however_many_are_left_out(monkeypatch, step):
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(real_data()))
    stack, masks = heads.load("colin27")[::step], []
    table = measure_stack(
        stack, PipelineSettings(reach_mm=7.5), lambda _, one: masks.append(one.mask)
    )
    for mask, reference, told in zip(masks, stack.reference, table["warnings"], strict=True):
        assert iou(mask, reference) < 0.8 or not any("around it" in one for one in told)


def test_no_sentence_holds_what_tables_put_between_sentences():
    tree = ast.parse(Path(s.__file__).read_text(encoding="utf-8"))
    docstrings = [one.value for one in ast.walk(tree) if isinstance(one, ast.Expr)]
    texts = [one for one in ast.walk(tree) if isinstance(one, ast.Constant)]
    assert len(texts) > 100
    assert not [one.value for one in texts if ";" in str(one.value) and one not in docstrings]


@given(IMAGES, st.sampled_from([4, 8]), st.booleans(), st.integers(0, 255))
def test_the_fast_way_tells_the_same_of_padded_and_framed_slices(image, links, drop, level):
    settings = PipelineSettings(3, None, "ellipse", links, drop, level)
    for pixels in (image, np.pad(image, ((0, 2), (0, 0)), constant_values=9)):
        trace = trace_skull_mask(pixels, settings, spacing_mm=(9.0, 9.0))
        assert measure_slice(pixels, settings, (9.0, 9.0)).warnings == trace.warnings


def test_brain_and_scalp_joined_at_the_eyes_of_a_real_head_are_told():
    volume = read_stack(real_data() / "mne-ecog" / "T1.mgz", slices="104:127", axis="axial")
    found = [signs(image, volume.spacing_mm) for image in volume.images]
    assert found.count([s.MERGED]) == 21
    assert found.count([]) == 2


@pytest.mark.parametrize("reach_mm", [None, 7.5])
def test_on_open_heads_every_wrong_choice_is_told_and_hardly_a_right_one(monkeypatch, reach_mm):
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(real_data()))
    found = np.zeros(3, dtype=int)
    for name in heads.HEADS:
        stack = heads.load(name)
        pixel_mm = sum(stack.spacing_mm) / 2
        width = 26 if reach_mm is None else 1 + 2 * round(reach_mm / pixel_mm)
        found += confusion(stack, kernel_width=width)
    assert found.tolist() == [5, 5, 0]
