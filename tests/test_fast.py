"""The fast masks are the article's, bit for bit, and their facts are those of the trace."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scans import any_settings
from scipy import ndimage

from skullnb.phantom import published_stack
from skullnb.pipeline import (
    PipelineSettings,
    create_skull_mask,
    create_skull_masks,
    load,
    masks_by_width,
    measure,
    measure_slice,
    trace_skull_mask,
)
from skullnb.study import article

KINDS = (
    *(np.float16, np.float32, np.float64),
    *(np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64),
)

if load() is None:
    pytest.skip("NUMBA MISSING (pip install 'skullnb[fast]')", allow_module_level=True)


@st.composite
def any_image(draw):
    """Noise, smooth blobs, specks and coarse grey levels, on frames around multiples of 64."""
    height = draw(st.integers(1, 140))
    width = draw(st.one_of(st.integers(1, 140), st.sampled_from([63, 64, 65, 127, 128, 129])))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "blobs", "specks", "levels", "padded"]))
    if kind == "noise":
        image = random.random((height, width))
    elif kind == "specks":
        image = (random.random((height, width)) < draw(st.floats(0.01, 0.7))).astype(np.float64)
    elif kind == "levels":
        block, n_levels = draw(st.integers(1, 7)), draw(st.integers(2, 12))
        coarse = random.integers(0, n_levels, (height // block + 1, width // block + 1))
        image = np.kron(coarse, np.ones((block, block)))[:height, :width] / n_levels
    else:
        image = ndimage.uniform_filter(random.random((height, width)), draw(st.integers(2, 9)))
    if kind == "padded":
        image[:, : draw(st.integers(0, width))] = draw(st.sampled_from([0.0, 0.7, 2.0]))
    dtype = np.dtype(draw(st.sampled_from(KINDS)))
    if dtype.kind == "f":
        scale, offset = draw(st.sampled_from([1e-3, 1.0, 3e2])), draw(st.sampled_from([0, 0.25, 9]))
        return (image * scale - offset).astype(dtype)
    if draw(st.booleans()):  # the whole range there is
        low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
        return (low * 0.999 + image.clip(0, 1) * (high - low) * 0.99).astype(dtype)
    return (image * 60).astype(dtype)


def of_article(image, width=26):
    """The oracle, spared the wrap-around of whole numbers that it does not guard against."""
    image = np.asarray(image)
    image = image.astype(np.float64) if image.dtype.kind in "iu" else image
    return article.skull_mask(image, width)


def assert_same_as_trace(image, chosen):
    trace = trace_skull_mask(image, chosen, spacing_mm=(1.0, 2.0))
    with patch.object(measure, "warnings_of", wraps=measure.warnings_of) as told:
        found = measure_slice(image, chosen, (1.0, 2.0))
    assert told.call_args.args[0] == trace.facts
    np.testing.assert_array_equal(found.mask, trace.mask)
    areas = (np.count_nonzero(one) for one in (trace.brain, trace.dilated, trace.mask))
    counts = trace.threshold, len(trace.components), trace.n_edge_touching
    assert [*found.row().values()] == [*counts, *areas, trace.reason, trace.warnings]


def wild_floats(kind, most):
    """Any floats up to the most; the article's own subtraction can hold less than there is."""
    elements = st.floats(-most, most, width=np.finfo(kind).bits)
    return hnp.arrays(kind, st.tuples(*[st.integers(1, 24)] * 2), elements=elements)


WILD = wild_floats("f4", 2.0**100) | wild_floats("f8", 1e300) | wild_floats("f2", 3e4)


@given(any_image() | WILD, st.integers(1, 61))
@settings(max_examples=400)
def test_any_image_gives_the_mask_of_the_article(image, width):
    np.testing.assert_array_equal(create_skull_mask(image, width), of_article(image, width))


@given(any_image() | wild_floats("f4", float(np.finfo("f4").max)), any_settings(61))
@settings(max_examples=300)
def test_any_settings_give_the_mask_and_the_facts_of_the_trace(image, chosen):
    assert_same_as_trace(image, chosen)
    expected = trace_skull_mask(image, chosen).mask
    np.testing.assert_array_equal(create_skull_masks(image[None], chosen)[0], expected)
    other = replace(chosen, kernel_width=5)
    again = next(masks_by_width(image, (chosen.kernel_width,), other))
    np.testing.assert_array_equal(again, expected)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(0, 3))
@settings(max_examples=200)
def test_levels_that_split_nearly_equally_well_are_decided_as_opencv_does(seed, n_levels, n_more):
    """Histograms that are the same from both ends have two best levels; a pixel decides."""
    random = np.random.default_rng(seed)
    counts = np.zeros(256, dtype=np.int64)
    levels = random.choice(127, n_levels, replace=False)
    counts[levels] = counts[255 - levels] = random.integers(0, 60, n_levels)
    counts[[0, 255]] += 1
    np.add.at(counts, random.integers(0, 256, n_more), 1)
    image = random.permutation(np.repeat(np.arange(256.0), counts))[None]
    expected, _ = cv2.threshold(image.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    assert measure_slice(image).threshold == expected


def test_every_width_on_the_phantom_gives_the_mask_of_the_article():
    image = published_stack().images[2]
    assert_same_as_trace(image, PipelineSettings())
    image = image[::2, ::2]
    brain = article.choose_brain(article.binarise(article.normalise(image)))
    widths = (*range(1, 62, 3), 255, 600, 1023)  # words have 64 bits
    for width, mask in zip(widths, masks_by_width(image, widths), strict=True):
        np.testing.assert_array_equal(mask, article.fill_holes(article.dilate(brain, width)))


# In all pairs the components are equal. OpenCV numbers components by blocks of 2 x 2 pixels when
# corners join, so the first to be met pixel by pixel is not always the first in number.
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("corners", [((3, 10), (2, 20)), ((2, 10), (2, 20)), ((5, 7), (40, 70))])
def test_equal_components_are_decided_by_the_order_of_labels(corners, connectivity):
    image = np.zeros((60, 90), dtype=np.float32)
    for row, column in corners:
        image[row : row + 6, column : column + 5] = 1
    assert_same_as_trace(image, PipelineSettings(kernel_width=1, connectivity=connectivity))
    np.testing.assert_array_equal(create_skull_mask(image, 1), article.skull_mask(image, 1))


def test_the_kind_of_array_changes_nothing_and_compiles_nothing(tmp_path):
    def compiled():
        kernels = {name: one for name, one in vars(load()).items() if hasattr(one, "signatures")}
        return {name: one.signatures.copy() for name, one in kernels.items()}

    image = published_stack().images[1]
    locked = image.copy()
    locked.flags.writeable = False
    np.save(tmp_path / "image.npy", image)
    expected, before = article.skull_mask(image), compiled()
    for one in (
        locked,
        np.load(tmp_path / "image.npy", mmap_mode="r"),
        np.asfortranarray(image),
        image.astype(">f4"),
        image.astype(np.float64)[::-1][::-1],
        np.pad(image, ((0, 0), (5, 9)))[:, 5:-9],
    ):
        np.testing.assert_array_equal(create_skull_mask(one), expected)
        assert measure_slice(one).mask_px == expected.sum()
    for kind in (*KINDS, ">i2", np.longdouble):
        create_skull_mask(np.arange(100).reshape(10, 10).astype(kind))
    np.testing.assert_array_equal(locked, image)
    assert compiled() == before
    assert len(before["_levels_of"]) == 2


WITHOUT = r"""
import sys
sys.modules["numba"] = None  # what an import of it then finds
import numpy as np
from skullnb.pipeline import PipelineSettings, create_skull_mask, create_skull_masks
from skullnb.pipeline import load, masks_by_width, measure_slice, trace_skull_mask
assert load() is None
image = np.load(sys.argv[1])
trace, found = trace_skull_mask(image), measure_slice(image)
for mask in (create_skull_mask(image), found.mask):
    assert (mask == trace.mask).all()
holes = PipelineSettings(fill_holes=False, kernel_width=3)
for mask in (create_skull_masks(image[None], holes)[0], next(masks_by_width(image, (3,), holes))):
    assert (mask == trace_skull_mask(image, holes).mask).all()
assert found.warnings == trace.warnings and found.n_components == len(trace.components)
"""


def test_without_numba_the_steps_give_the_same(tmp_path):
    np.save(tmp_path / "image.npy", published_stack().images[0])
    command = [sys.executable, "-c", WITHOUT, tmp_path / "image.npy"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_threads_do_not_disturb_each_other():
    images = [*published_stack().images[:2]] * 8
    expected = [measure_slice(image).row() for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert [one.row() for one in pool.map(measure_slice, images)] == expected
