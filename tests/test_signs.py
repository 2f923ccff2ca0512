import cv2
import numpy as np
import pytest
from real_data import real_data

from skullnb.phantom import published_stack, variant
from skullnb.pipeline import (
    choose_brain,
    component_mask,
    label_components,
    trace_skull_mask,
)
from skullnb.pipeline.signs import DROPPED, MERGED, PART, SCALP_RING, _hull, failure_signs
from skullnb.stack import read_stack


def signs(trace):
    return list(failure_signs(trace.binary, trace.components, trace.chosen, trace.brain))


def signs_of_binary(binary):
    labels, components = label_components(binary)
    chosen = choose_brain(components)
    return list(failure_signs(binary, components, chosen, component_mask(labels, chosen)))


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("thick-soft-tissue", SCALP_RING),
        ("strong-coil", SCALP_RING),
        ("bridge", MERGED),
        ("low-contrast", MERGED),
        ("hemispheres-apart", PART),
        ("brain-touches-frame", DROPPED),
        ("bridge-and-cut", DROPPED),
    ],
)
def test_a_head_built_to_fail_shows_the_sign_of_its_failure(name, sign):
    for image in variant(name).images:
        assert signs(trace_skull_mask(image)) == [sign]


@pytest.mark.parametrize(
    "name",
    [
        "scalp-cut-one-side",
        "scalp-cut-two-sides",
        "scalp-cut-all-sides",
        "thick-soft-tissue-cut",
        "vertex-cut",
        "narrow-gap",
        "wide-gap",
    ],
)
def test_a_head_on_which_the_brain_is_chosen_shows_none(name):
    for image in variant(name).images:
        assert signs(trace_skull_mask(image)) == []


def test_every_sign_is_a_warning_of_the_trace():
    for name in ("thick-soft-tissue", "bridge", "hemispheres-apart", "brain-touches-frame"):
        trace = trace_skull_mask(variant(name).images[0])
        found = failure_signs(trace.binary, trace.components, trace.chosen, trace.brain)
        assert set(found.values()) <= set(trace.warnings)


def test_turning_or_mirroring_a_slice_changes_no_sign():
    for name in ("thick-soft-tissue", "bridge", "hemispheres-apart", "brain-touches-frame"):
        image = variant(name).images[2]
        expected = signs(trace_skull_mask(image))
        for turned in (image[::-1], image[:, ::-1], image.T):
            assert signs(trace_skull_mask(turned)) == expected


def test_scaling_the_intensities_changes_no_sign():
    image = published_stack().images[0]
    assert signs(trace_skull_mask(image * 1e9)) == signs(trace_skull_mask(image)) == []


def test_where_nothing_was_chosen_there_is_no_sign():
    trace = trace_skull_mask(np.zeros((20, 20)))
    assert trace.chosen == 0
    assert signs(trace) == []


def test_a_speck_is_taken_neither_for_a_scalp_nor_for_a_part_of_a_brain():
    binary = np.zeros((80, 80), dtype=np.uint8)
    binary[10, 10] = 1
    assert signs_of_binary(binary) == []
    binary[20, 50] = 1
    assert signs_of_binary(binary) == []
    binary[60:, :] = 1
    assert signs_of_binary(binary) == [DROPPED]


def test_a_part_inside_or_around_the_chosen_one_is_no_other_half():
    binary = np.zeros((80, 80), dtype=np.uint8)
    binary[10:70, 10:70] = 1
    binary[14:66, 14:66] = 0
    binary[20:60, 20:60] = 1
    assert signs_of_binary(binary) == []


def test_a_filled_and_a_hollow_outermost_component_get_different_names():
    binary = np.zeros((60, 60), dtype=np.uint8)
    binary[10:50, 10:50] = 1
    assert signs_of_binary(binary) == [MERGED]
    binary[12:48, 12:48] = 0
    assert signs_of_binary(binary) == [SCALP_RING]


def test_the_hull_is_that_of_the_whole_slice():
    rng = np.random.default_rng(0)
    for _ in range(20):
        binary = cv2.dilate((rng.random((40, 50)) > 0.97).astype(np.uint8), np.ones((4, 3)))
        labels, components = label_components(binary)
        for own in components:
            brain = component_mask(labels, int(own["label"]))
            whole = np.zeros_like(brain)
            cv2.fillConvexPoly(whole, cv2.convexHull(cv2.findNonZero(brain)), 1)
            np.testing.assert_array_equal(_hull(own, brain), whole)


def test_brain_and_scalp_joined_at_the_eyes_of_a_real_head_are_warned_about():
    head = read_stack(real_data() / "mne-ecog" / "T1.mgz", slices="104:127")
    found = [signs(trace_skull_mask(image)) for image in head.images]
    assert found.count([MERGED]) == 21
    assert found.count([]) == 2
