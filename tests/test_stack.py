"""The Stack itself, and the words a user gives for one."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skullnb.errors import InvalidImage, InvalidSetting, ShapeMismatch, UnreadableFile
from skullnb.stack import Stack
from skullnb.stack.checks import binary_mask, parse_groups, parse_slices, parse_spacing

IMAGES = np.arange(60.0).reshape(5, 4, 3)


def refused(error, words, call, *typed, **named):
    with pytest.raises(error, match=words) as caught:
        call(*typed, **named)
    assert re.fullmatch(r"[A-Z\w.]+ [^\n]{10,400}\.", str(caught.value))


def test_a_stack_keeps_what_belongs_to_a_slice_together_when_slices_are_chosen():
    stack = Stack(IMAGES, IMAGES > 30, "0.5x0.7", "a,a,b,b,c", "demo")
    part = stack[1:5:2]
    np.testing.assert_array_equal(part.images, IMAGES[[1, 3]])
    np.testing.assert_array_equal(part.reference, (IMAGES > 30)[[1, 3]])
    assert (part.groups, part.slice_numbers, part.name) == (("a", "b"), (1, 3), "demo")
    assert part.select([1]).slice_numbers == (3,)
    assert (part.spacing_mm, part.aspect, Stack(IMAGES).aspect) == ((0.5, 0.7), 0.5 / 0.7, 1)


def test_evenly_spaced_slices_are_views_and_others_copies_in_the_order_asked():
    stack = Stack(IMAGES)
    assert np.shares_memory(stack.select([0, 2, 4]).images, IMAGES)
    np.testing.assert_array_equal(stack.select([4, 0, -2]).images, IMAGES[[4, 0, 3]])
    for indices in ([], [5], [-6], [0, 9]):
        with pytest.raises(InvalidSetting, match=r"0 to 4"):
            stack.select(indices)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"images": IMAGES[0]}, InvalidImage, r"\(4, 3\)"),
        ({"images": IMAGES[:0]}, InvalidImage, r"\(0, 4, 3\)"),
        ({"images": IMAGES * 1j}, InvalidImage, "complex128"),
        ({"images": IMAGES.astype(object)}, InvalidImage, "real numbers"),
        ({"reference": IMAGES[:3] > 0}, ShapeMismatch, r"\(3, 4, 3\).*\(5, 4, 3\)"),
        ({"reference": IMAGES.astype(str)}, InvalidSetting, "not binary.*slice 0"),
        ({"groups": ("a", "b")}, ShapeMismatch, "2 group labels for 5 slices"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_sentence(arguments, error, words):
    refused(error, words, Stack, **{"images": IMAGES, "name": "demo", **arguments})


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, ">u2", np.int64, np.float32])
@pytest.mark.parametrize("high", [1, 255])
def test_a_binary_reference_of_any_type_becomes_zeros_and_ones(dtype, high):
    expected = np.random.default_rng(0).integers(0, 2, (3, 4, 5))
    expected[:2] = 0  # 255 in one slice is enough to tell
    got = binary_mask((expected * high).astype(dtype))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, expected)
    assert np.shares_memory(binary_mask(got), got)


def test_a_reference_with_other_values_is_refused():
    for values in ((0, 2), (1, 255), (0, 0.5), (0, np.nan), (-1, 0)):
        mask = np.resize(np.array(values, float), (2, 9))
        refused(InvalidSetting, "not binary", binary_mask, mask)


def test_a_fingerprint_in_memory_changes_with_value_type_and_shape():
    arrays = IMAGES, IMAGES + 1, IMAGES.astype(np.float32), IMAGES.reshape(5, 3, 4)
    digests = [Stack(array).fingerprint()["images"] for array in arrays]
    assert len(set(digests)) == 4
    copy = Stack(np.asfortranarray(IMAGES), IMAGES > 3).fingerprint()
    assert copy["images"] == digests[0]
    assert set(copy) == {"images", "reference"}


@pytest.mark.parametrize(
    ("expected", "typed"),
    [
        (None, ("", None)),
        ((0.5, 0.5), ("0.5", 0.5)),
        ((0.667, 0.7), ("0.667x0.7", "0.667 X 0.7", ["0.667", 0.7])),
        ((0.5, 0.25), (np.array([0.5, 0.25]),)),
    ],
)
def test_a_spacing_is_one_number_or_row_by_column(expected, typed):
    assert [parse_spacing(one) for one in typed] == [expected] * len(typed)


def test_a_spacing_that_makes_no_sense_is_refused():
    wrong = ["0", "nan", "inf", "9e-7", "1.1e6", "1x0", "1x2x3", "mm", "1,", -0.5, (), object()]
    for typed in wrong:
        refused(InvalidSetting, "above 0", parse_spacing, typed)


def test_slices_are_numbers_and_ranges():
    typed = {"": range(10), None: range(10), 0: [0], "-1": [9], "5, 1": [5, 1]}
    for one, expected in {**typed, "2 : 4,8:": [2, 3, 8, 9]}.items():
        assert parse_slices(one, 10) == list(expected)


bound = st.none() | st.integers(-30, 30)


@given(bound, bound, st.none() | st.integers(1, 9))
def test_a_range_of_slices_means_what_it_means_in_python(start, stop, step):
    text = ":".join("" if part is None else str(part) for part in (start, stop, step))
    expected = list(range(20)[slice(start, stop, step)])
    if expected:
        assert parse_slices(text, 20) == expected
    else:
        refused(InvalidSetting, "choose none, .* others than 0 to 19", parse_slices, text, 20)


def test_slices_that_are_not_there_or_can_not_be_read_are_refused():
    told = dict.fromkeys(("10", -11, "4:4", "0:3,2", "3,10"), "choose none, .* others than 0 to 9;")
    for typed in ("1,", "a", "1:2:0", "1 5", "1-5"):
        told[typed] = "are not understood; give numbers and ranges such as 129:152, 3"
    for typed, words in told.items():
        refused(InvalidSetting, words, parse_slices, typed, 10)


def test_groups_are_typed_listed_or_read_from_a_file_with_a_label_a_line(tmp_path):
    file, expected = tmp_path / "groups.csv", ("anna", "anna", "ben")
    file.write_text("\ufeffanna\nanna\r\nben\n\n", encoding="utf-8")
    for typed in (str(file), file, "anna,anna , ben", list(expected)):
        assert parse_groups(typed) == expected
    for typed, labels in (([1, 1], ("1", "1")), (7, ("7",)), ("", None), (None, None)):
        assert parse_groups(typed) == labels
    for label in ("g" * 400, "~nobody", "a\0b", "/etc/hostname/no"):  # that can be no file
        assert parse_groups(label) == (label,)
    refused(InvalidSetting, "Label 2 of the groups", parse_groups, "anna,b\udcff")


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"\xff\xfe\x00bad", UnreadableFile, "groups.txt can't be read"),
        (b"a,1\nb,2\n", InvalidSetting, "Label 1 of the groups .* has a comma"),
        (b"a\n\nb\n", InvalidSetting, "Label 2 of the groups is empty"),
    ],
)
def test_a_groups_file_that_can_not_be_used_is_refused(tmp_path, content, error, words):
    (tmp_path / "groups.txt").write_bytes(content)
    refused(error, words, parse_groups, tmp_path / "groups.txt")
