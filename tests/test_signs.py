import cv2
import numpy as np
import pytest
from golden_data import real_data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skullnb import heads
from skullnb.phantom import variant
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.pipeline import signs as s
from skullnb.stack import read_stack

Y, X = np.mgrid[:200, :200] - 100
RADIUS = np.hypot(Y, X)
IMAGES = arrays(np.uint8, st.tuples(*[st.integers(2, 12)] * 2), elements=st.integers(0, 9))


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


@pytest.mark.parametrize("gap", [45, 60, 90])
def test_a_mask_that_is_open_at_one_side_is_hollow(gap):
    """A bright rim is taken for the brain."""
    image = np.select([(RADIUS > 86) & (RADIUS < 92), RADIUS < 72], [300, 120], 0)
    angle = np.degrees(np.arctan2(X, Y))
    image = np.where((RADIUS < 72) & (RADIUS > 60) & (abs(angle) > gap / 2), 400, image)
    for turned in (image, image.T, image[::-1]):
        assert s.HOLLOW in signs(turned, kernel_width=11)


FACTS = s.SliceFacts(100, 100, 200, 90.0, 3000, 0, 2000, 2200, 2100, 0, 0, 2600, 2700)
ALONE = {"bright_px": 2100}  # all that is bright lies in the chosen one's hull


@pytest.mark.parametrize(
    ("name", "right", "wrong", "said"),
    [
        (s.HOT, {"hot_level": 25.5}, {"hot_level": 1.06}, " its lowest 0.81%,"),
        (s.HOT, {"n_levels": 1, "hot_level": 0}, {"hot_level": 0}, " its lowest 0.39%,"),
        (s.SMALL, {"mask_px": 100}, {"mask_px": 99}, " covers 0.99% of the frame (99 px),"),
        (s.LARGE, {"mask_px": 9000}, {"mask_px": 9100}, " covers 91% of the frame,"),
        (s.HOLLOW, {"mask_px": 2187}, {"mask_px": 2160}, " 80% of its convex hull,"),
        (s.SPARSE, {"chosen_px": 40, "hull_px": 99}, {"chosen_px": 40, "hull_px": 100}, " 40% of"),
        (s.SPARSE, {"chosen_px": 48, "hull_px": 100}, {"chosen_px": 47, "hull_px": 100}, " 47% of"),
        (s.SCALP_RING, {**ALONE, "chosen_px": 1320}, {**ALONE, "chosen_px": 1300}, " 59% of its"),
        (s.MERGED, {**ALONE, "chosen_px": 1300}, {**ALONE, "chosen_px": 1320}, "only 0.0% of the"),
        (s.MERGED, {"bright_px": 2160, "edge_px": 2}, {"bright_px": 2160, "edge_px": 1}, "2.8% of"),
        (s.MERGED, {}, {"bright_px": 9, "padding_px": 8, "bright_in_hull_px": 1}, " 0.0% of"),
        (s.OUTSIDE, {"bright_px": 5250}, {"bright_px": 5400}, "61% of the bright tissue lies"),
        (s.PART, {"beside_px": 700}, {"beside_px": 720}, " 36% as large "),
        (s.DROPPED, {"edge_px": 4000}, {"edge_px": 4200}, " 2.1 times as large "),
        (s.DROPPED, {"chosen_px": 1, "edge_px": 2}, {"chosen_px": 1, "edge_px": 3}, " 3.0 times "),
    ],
)
def test_a_sign_is_told_from_its_limit_on_with_what_was_measured(name, right, wrong, said):
    assert s.warnings_of(FACTS, PipelineSettings()) == {}
    assert name not in s.warnings_of(FACTS._replace(**right), PipelineSettings())
    assert said in s.warnings_of(FACTS._replace(**wrong), PipelineSettings())[name]


def test_size_is_judged_in_cm2_where_the_pixel_size_is_known():
    facts = FACTS._replace(height=200, width=200, hull_px=1500)
    small = "the chosen component covers 20 cm² and the mask 52 cm², too little for a head"
    large = "the mask covers 301 cm², too much for a head"
    for size, told in (
        ({"chosen_px": 1000, "mask_px": 15000}, {}),
        ({"chosen_px": 999}, {s.SMALL: small}),
        ({"mask_px": 15050}, {s.LARGE: large}),
    ):
        assert s.warnings_of(facts._replace(**size), PipelineSettings(9), (2.0, 1.0)) == told


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


def test_tissue_that_touches_the_frame_is_no_padding_and_hides_no_missing_half():
    image = np.where((Y > 80) & (abs(X) < 60), 150 + X // 4, head())
    assert trace_skull_mask(image).facts.padding_px == 0
    assert trace_skull_mask(np.where(Y > 93, 150, head())).facts.padding_px == 6 * 200
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
    assert signs(np.outer(np.ones(20), np.arange(20)), (1.0, 1.0)) == [s.EMPTY]


@pytest.mark.parametrize(
    ("width", "mm", "wide"),
    [(26, 0.375, False), (26, 1.0, False), (33, 1.0, False), (34, 1.0, True), (26, 3.0, True)],
)
def test_a_kernel_that_reaches_twice_as_far_as_any_head_chose_is_told(width, mm, wide):
    assert (s.WIDE_KERNEL in signs(head(), (mm, mm), kernel_width=width)) == wide
    assert s.WIDE_KERNEL not in signs(head(), kernel_width=width)
    sentence = trace_skull_mask(head(), spacing_mm=(3.0, 1.5)).warnings[0]
    assert "26 px reaches 37.5 x 18.8 mm" in sentence
    assert sentence.endswith("--kernel-width 7, the nearest of odd width, reaches 9 x 4.5 mm")


def test_tissue_mostly_outside_the_chosen_component_and_noise_in_air_are_told():
    image = head(55, 62, 88)
    image[:, :70] = np.where(image[:, :70] == 20, 0, image[:, :70])
    image[abs(Y) < 3] = image[abs(X) < 3] = 0
    assert s.OUTSIDE in signs(image, kernel_width=9)
    noise = np.random.default_rng(1).rayleigh(size=RADIUS.shape)
    noise = noise**2 * np.exp(-((RADIUS / 60) ** 2))
    assert set(signs(noise)) & {s.SPARSE, s.SCALP_RING}
    assert ";" not in str(s.SENTENCES)  # tables put it between sentences


@given(IMAGES, st.floats(0, 1))
def test_hulls_and_quantiles_are_those_of_the_definition(image, share):
    found = s.quantile_of_counts(np.bincount(image.ravel(), minlength=256), share)
    assert found == pytest.approx(np.quantile(image, share))
    binary = (image > 7).astype(np.uint8)
    corners = cv2.convexHull(cv2.findNonZero(binary)) if binary.any() else None
    inside = [
        binary.any() and cv2.pointPolygonTest(corners, (float(x), float(y)), False) >= 0
        for y, x in np.ndindex(image.shape)
    ]
    np.testing.assert_array_equal(s.hull_of(binary).ravel(), inside)


def jumps(areas, levels=None, volumes="", numbers=None, step_mm=0.0, warned=None):
    """Signs beside neighbours, of slices of one volume in their order unless told otherwise."""
    n = len(areas)
    numbers, warned = range(n) if numbers is None else numbers, warned or [False] * n
    volumes, levels = list(volumes or "a" * n), levels or [50] * n
    return s.neighbour_signs(areas, levels, volumes, numbers, [step_mm] * n, warned)


def test_a_slice_unlike_its_neighbours_is_told_in_one_sentence():
    found = jumps([100, 104, 60, 108, 112, 0, 116], [50, 50, 50, 10, 50, 0, 50])
    assert [list(one) for one in found] == [[], [], [s.AREA_JUMP], [s.THRESHOLD_JUMP], [], [], []]
    assert jumps([1, 1, 2, 1, 1])[2]
    assert found[3][s.THRESHOLD_JUMP].startswith("the threshold is 80% lower than those")
    assert [*found[2].values()] == ["the mask is 44% smaller than those of the slices around it"]
    both = jumps([100, 100, 190, 100, 100], [20, 20, 30, 20, 20])[2]
    said = "the mask is 90% larger than, and the threshold is 50% higher than, "
    assert both == dict.fromkeys(s.SIGNS[-2:], f"{said}those of the slices around it")


@pytest.mark.parametrize(
    "others",
    [
        {"areas": [100, 100, 50, 50, 100, 50], "volumes": "aabbab"},
        {"areas": [100, 100, *[0] * 5, 50]},
        {"areas": [100, 100, 50, 100, 100], "volumes": [""] * 5},
        {"areas": []},
        {"areas": [100, 100, 125, 100, 100], "levels": [50, 50, 30, 50, 50]},  # just not enough
        {"areas": [300, 200, 300, 205, 210], "warned": [1, 0, 1, 0, 0]},
    ],
)
def test_only_slices_of_the_same_volume_without_a_sign_are_compared(others):
    found, warned = jumps(**others), others.get("warned", [])
    assert not any(found if not warned else found[1::2])


@pytest.mark.parametrize(
    ("last", "step_mm", "is_told"),
    [(-4, 1.0, 1), (20, 0.1, 1), (20, 2.5, 0), (24, 0, 0), (4, 5.0, 1), (4, 16.0, 0), (0, 0, 1)],
)
def test_only_slices_close_by_are_neighbours(last, step_mm, is_told):
    numbers = np.linspace(0, last, 5).astype(int)  # all 0: files with a slice each
    assert bool(jumps([100, 100, 50, 100, 100], numbers=numbers, step_mm=step_mm)[2]) == is_told


def test_brain_and_scalp_joined_at_the_eyes_of_a_real_head_are_told():
    volume = read_stack(real_data() / "mne-ecog" / "T1.mgz", slices="104:127", axis="axial")
    found = [signs(image, volume.spacing_mm) for image in volume.images]
    assert found.count([s.MERGED]) == 21
    assert found.count([]) == 2


@pytest.mark.parametrize("reach_mm", [None, 7.5])
def test_on_open_heads_every_wrong_choice_is_told_and_hardly_a_right_one(monkeypatch, reach_mm):
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(real_data()))
    found, chosen = [], PipelineSettings(reach_mm=reach_mm)
    for stack in map(heads.load, heads.HEADS):
        for image, reference in zip(stack.images, stack.reference > 0, strict=True):
            trace = trace_skull_mask(image, chosen, spacing_mm=stack.spacing_mm)
            outside = trace.brain[~reference].sum() > 0.05 * trace.brain.sum()
            lost = trace.brain[reference].sum() < 0.7 * trace.binary[reference].sum()
            found.append((bool(outside or lost), bool(trace.warnings)))
    assert [found.count(one) for one in ((True, True), (True, False), (False, True))] == [5, 0, 0]
