"""The fast masks are the literal ones, bit for bit, whatever they are computed with."""

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import cv2
import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import real_data
from scipy import io, ndimage

from skullnb.bench.literal import literal_brain, literal_mask, literal_normalise
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.phantom import VARIANTS, published_stack, variant
from skullnb.pipeline import (
    PipelineSettings,
    create_skull_mask,
    create_skull_masks,
    masks,
    masks_by_width,
    trace_skull_mask,
    use_tier,
    warm_up,
)

WITHOUT_NUMBA = importlib.util.find_spec("numba") is None
KINDS = (np.float32, np.float64, np.float16, np.uint8, np.int16, np.uint16, np.int32, np.uint64)


@pytest.fixture(scope="module", params=["numpy", "numba"], autouse=True)
def tier(request):
    if request.param == "numba" and WITHOUT_NUMBA:
        pytest.skip("NUMBA MISSING (pip install 'skullnb[fast]'): its kernels were NOT tested")
    assert use_tier(request.param) == request.param
    yield request.param
    use_tier("auto")


@pytest.fixture
def kernels():
    return pytest.importorskip("skullnb.pipeline.kernels", reason="numba is not installed")


@st.composite
def any_image(draw):
    """Noise, smooth blobs, specks and coarse grey levels, on frames around multiples of 64."""
    height = draw(st.integers(1, 140))
    width = draw(st.one_of(st.integers(1, 140), st.sampled_from([63, 64, 65, 127, 128, 129])))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "blobs", "specks", "levels"]))
    if kind == "noise":
        image = random.random((height, width))
    elif kind == "blobs":
        image = ndimage.uniform_filter(random.random((height, width)), draw(st.integers(2, 9)))
    elif kind == "specks":
        image = (random.random((height, width)) < draw(st.floats(0.01, 0.7))).astype(np.float64)
    else:
        block, n_levels = draw(st.integers(1, 7)), draw(st.integers(2, 12))
        coarse = random.integers(0, n_levels, (height // block + 1, width // block + 1))
        image = np.kron(coarse, np.ones((block, block)))[:height, :width] / n_levels
    dtype = draw(st.sampled_from(KINDS))
    if np.dtype(dtype).kind == "f":
        return (image * draw(st.sampled_from([1e-3, 1.0, 3e2])) - 0.25).astype(dtype)
    return (image * 120).astype(dtype)


def literal(image, width=26):
    """The oracle, spared the wrap-around of whole numbers that it does not guard against."""
    image = np.asarray(image)
    return literal_mask(image.astype(np.float64) if image.dtype.kind in "iu" else image, width)


@given(any_image(), st.integers(1, 60))
@settings(max_examples=300)
def test_any_image_gives_the_literal_mask(image, width):
    np.testing.assert_array_equal(create_skull_mask(image, width), literal(image, width))


@given(
    any_image(),
    st.builds(
        PipelineSettings,
        kernel_width=st.integers(0, 60),
        kernel_shape=st.sampled_from(["ellipse", "rectangle"]),
        connectivity=st.sampled_from([4, 8]),
        drop_edge_touching=st.booleans(),
        threshold=st.one_of(st.just("otsu"), st.integers(0, 255)),
        fill_holes=st.booleans(),
    ),
)
@settings(max_examples=200)
def test_any_settings_give_the_mask_of_the_trace(image, chosen):
    expected = trace_skull_mask(image, chosen).mask
    np.testing.assert_array_equal(create_skull_masks(image[None], chosen)[0], expected)
    np.testing.assert_array_equal(
        next(masks_by_width(image, (chosen.kernel_width,), replace(chosen, kernel_width=5))),
        expected,
    )


@pytest.mark.parametrize("number", range(5))
def test_every_width_on_the_phantom_gives_the_literal_mask(number):
    image = published_stack().images[number]
    _, binary = cv2.threshold(literal_normalise(image), 0, 255, cv2.THRESH_OTSU)
    brain = literal_brain(binary)
    widths = range(1 + number, 61, 5)
    for width, mask in zip(widths, masks_by_width(image, widths), strict=True):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        expected = ndimage.binary_fill_holes(cv2.dilate(brain, kernel))
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_of_the_phantom_gives_the_literal_mask(name):
    image = variant(name).images[0]
    np.testing.assert_array_equal(create_skull_mask(image), literal_mask(image))


@pytest.mark.parametrize("width", [255, 600, 1023])
def test_a_kernel_wider_than_a_word_gives_the_literal_mask(width):
    image = published_stack().images[2][::3, ::3]
    np.testing.assert_array_equal(create_skull_mask(image, width), literal_mask(image, width))


@pytest.mark.parametrize("kind", KINDS)
def test_noise_with_thousands_of_components_gives_the_literal_mask(kind):
    image = (np.random.default_rng(0).random((230, 200)) ** 3 * 120).astype(kind)
    assert len(trace_skull_mask(image).components) > 1000
    np.testing.assert_array_equal(create_skull_mask(image, 3), literal(image, 3))


def test_more_components_than_16_bits_can_number_change_nothing():
    image = np.zeros((600, 600), dtype=np.float32)
    image[1:-1:2, 1:-1:2] = image[590:597, 585:592] = 1
    trace = trace_skull_mask(image, PipelineSettings(kernel_width=4))
    assert len(trace.components) > 2**16
    assert trace.brain.sum() > 40
    np.testing.assert_array_equal(create_skull_mask(image, 4), trace.mask)


# In all pairs the components are equal. OpenCV numbers components by blocks of 2 x 2 pixels when
# corners join, so the first to be met pixel by pixel is not always the first in number.
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("corners", [((3, 10), (2, 20)), ((2, 10), (2, 20)), ((5, 7), (40, 70))])
def test_equal_components_are_decided_by_the_order_of_labels(corners, connectivity):
    image = np.zeros((60, 90), dtype=np.float32)
    for row, column in corners:
        image[row : row + 6, column : column + 5] = 1
    _, binary = cv2.threshold(literal_normalise(image), 0, 255, cv2.THRESH_OTSU)
    expected = literal_brain(binary, connectivity)
    chosen = PipelineSettings(kernel_width=1, connectivity=connectivity)
    np.testing.assert_array_equal(create_skull_masks(image[None], chosen)[0], expected)


def test_a_pocket_that_opens_to_the_frame_is_no_hole():
    image = np.zeros((70, 80), dtype=np.float32)
    image[3:67, 3:77] = 1
    image[30:40, 3:20] = image[10:20, 30:45] = 0
    np.testing.assert_array_equal(create_skull_mask(image, 9), literal_mask(image, 9))
    mask = create_skull_mask(image, 5)
    assert mask[15, 37] == 1
    assert mask[35, 4] == 0


def test_real_heads_give_the_literal_mask():
    folder = real_data()
    mgz = np.asarray(nibabel.load(folder / "mne-ecog" / "T1.mgz").dataobj)
    colin = io.loadmat(folder / "colin27" / "standard_mri.mat", simplify_cells=True)
    slices = [mgz[:, number, :] for number in range(60, 200, 20)]
    slices += [colin["mri"]["anatomy"][:, :, number] for number in range(50, 136, 12)]
    for name in ("studyforrest", "ubermuda"):
        slices += [pydicom.dcmread(path).pixel_array for path in sorted((folder / name).iterdir())]
    assert len(slices) > 40
    for image in slices:
        width = max(2, min(image.shape) // 12)
        np.testing.assert_array_equal(create_skull_mask(image, width), literal(image, width))


def odd_arrays(tmp_path):
    image = published_stack().images[1]
    locked = image.copy()
    locked.flags.writeable = False
    np.save(tmp_path / "image.npy", image)
    return {
        "read-only": locked,
        "memory-mapped": np.load(tmp_path / "image.npy", mmap_mode="r"),
        "column-major": np.asfortranarray(image),
        "big-endian": image.astype(">f4"),
        "double, backwards": image.astype(np.float64)[::-1][::-1],
        "columns of a wider frame": np.pad(image, ((0, 0), (5, 9)))[:, 5:-9],
    }


def test_the_kind_of_array_changes_nothing_and_compiles_nothing(tmp_path, tier):
    arrays = odd_arrays(tmp_path)
    expected = literal_mask(arrays["read-only"])
    before = compiled_signatures(tier)
    for image in arrays.values():
        np.testing.assert_array_equal(create_skull_mask(image), expected)
    for kind in KINDS:
        create_skull_mask(np.arange(100).reshape(10, 10).astype(kind))
    assert compiled_signatures(tier) == before


def compiled_signatures(tier):
    if tier == "numpy":
        return None
    from skullnb.pipeline import kernels

    return {
        name: value.signatures.copy()
        for name, value in vars(kernels).items()
        if hasattr(value, "signatures")
    }


def test_threads_do_not_disturb_each_other():
    images = [np.ascontiguousarray(image) for image in published_stack().images] * 4
    expected = [create_skull_mask(image) for image in images[:5]] * 4
    with ThreadPoolExecutor(4) as pool:
        for mask, one in zip(pool.map(create_skull_mask, images), expected, strict=True):
            np.testing.assert_array_equal(mask, one)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_counted_and_refused(dtype, bad):
    images = np.random.default_rng(0).random((2, 30, 70)).astype(dtype)
    images[1, 7, 69] = images[1, 29, 0] = bad
    with pytest.raises(InvalidImage, match="Slice 1 has 2 of 2100 pixels that are NaN"):
        create_skull_masks(images)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_range_that_overflows_is_computed_without_overflowing(dtype):
    image = np.zeros((40, 40), dtype=dtype)
    image[:, :] = -np.finfo(dtype).max
    image[10:30, 10:30] = np.finfo(dtype).max
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(
            create_skull_mask(image, 3), trace_skull_mask(image, PipelineSettings(3)).mask
        )
    assert create_skull_mask(image, 3).sum() == 480


@pytest.mark.parametrize("value", [0.0, -0.0, -3.5, 1e-40])
def test_a_flat_slice_gives_an_empty_mask_over_whatever_was_there(value):
    images = np.full((3, 9, 70), value, dtype=np.float32)
    images[1, 0, 0] = -0.0 if value == 0.0 else value
    assert not create_skull_masks(images).any()


def test_a_slice_without_a_bright_pixel_gives_an_empty_mask():
    image = np.random.default_rng(0).random((1, 30, 70))
    assert not create_skull_masks(image, PipelineSettings(threshold=255)).any()


# Work must depend on pixels and runs, not on how many components these belong to: the teeth of a
# comb are one component with a spine, and hundreds without it.
def combs():
    few, many = np.zeros((80, 400), dtype=np.float32), np.zeros((80, 400), dtype=np.float32)
    few[4:70, 4:396:2] = many[4:70, 4:396:2] = 1
    few[36, 4:395] = many[36, 4] = 1
    many[36:40, 4:20] = few[36:40, 4:20] = 1
    assert len(trace_skull_mask(few).components) == 1
    assert len(trace_skull_mask(many).components) > 180
    return few, many


def calls_of(function, *arguments):
    """Count the calls that a function makes, of Python functions and of built-in ones."""
    count = 0

    def profiler(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profiler)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return count


def test_the_number_of_calls_does_not_grow_with_the_number_of_components():
    few, many = combs()
    create_skull_mask(few)
    assert calls_of(literal_mask, many) > 100 + calls_of(literal_mask, few)
    assert calls_of(create_skull_mask, many) == calls_of(create_skull_mask, few)


INTERPRETED = """
import json, sys
import numpy as np
from skullnb.pipeline import kernels
from skullnb.pipeline.masks import create_skull_mask, use_tier
kernels._bits_set = lambda word: int(word).bit_count()
kernels._trailing_zeros = lambda word: (int(word) & -int(word)).bit_length() - 1
use_tier("numba")
lines = 0
def tracer(frame, event, argument):
    global lines
    if frame.f_code.co_filename != kernels.__file__:
        return None
    lines += event == "line"
    return tracer
counts = []
np.seterr(over="ignore")
for image, mask in zip(np.load(sys.argv[1]), np.load(sys.argv[2])):
    lines = 0
    sys.settrace(tracer)
    found = create_skull_mask(image, 5)
    sys.settrace(None)
    assert (found == mask).all()
    counts.append(lines)
print(json.dumps(counts))
"""


def test_the_steps_inside_the_kernels_do_not_grow_with_the_number_of_components(tmp_path, tier):
    if tier == "numpy":
        pytest.skip("the steps of this tier are the calls that another test counts")
    np.save(tmp_path / "images.npy", combs())
    np.save(tmp_path / "masks.npy", [literal_mask(image, 5) for image in combs()])
    run = subprocess.run(
        [sys.executable, "-c", INTERPRETED, tmp_path / "images.npy", tmp_path / "masks.npy"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    few, many = json.loads(run.stdout)
    assert many < 1.1 * few


def test_importing_the_package_does_not_load_numba():
    code = "import sys, skullnb; print('numba' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


WITHOUT = r"""
import sys
sys.modules["numba"] = None  # what an import of it then finds
import numpy as np, pytest
from skullnb.errors import InvalidSetting
from skullnb.pipeline import create_skull_mask, trace_skull_mask, use_tier, warm_up
image = np.load(sys.argv[1])
assert (create_skull_mask(image) == trace_skull_mask(image).mask).all()
assert warm_up() == "numpy"
with pytest.raises(InvalidSetting, match=r"pip install 'skullnb\[fast\]'"):
    use_tier("numba")
"""


def test_without_numba_everything_works_with_numpy(tmp_path):
    np.save(tmp_path / "image.npy", published_stack().images[0])
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, tmp_path / "image.npy"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_numba_that_does_not_import_is_done_without_or_said(monkeypatch):
    monkeypatch.setattr(masks, "_tier", None)  # puts the present one back afterwards
    monkeypatch.setitem(sys.modules, masks.TIERS["numba"], None)
    assert use_tier("auto") == "numpy"
    assert create_skull_mask(np.eye(3)).shape == (3, 3)
    with pytest.raises(InvalidSetting, match=r"numba cannot be used \(.*halted.*\); pip install"):
        use_tier("numba")


def test_an_unknown_tier_is_refused():
    with pytest.raises(InvalidSetting, match="auto, numpy or numba, not 'gpu'"):
        use_tier("gpu")


def test_warming_up_says_what_is_used(tier):
    assert warm_up() == tier


def test_a_compilation_that_takes_long_is_announced(monkeypatch, tier):
    import_module, said, heard = importlib.import_module, [], Event()

    def announce(text):
        said.append(text)
        heard.set()

    def slowly(name, *package):
        assert heard.wait(60), "nothing was said all the time"
        return import_module(name, *package)

    monkeypatch.setattr(masks, "_PATIENCE", 0.01)
    monkeypatch.setattr("importlib.import_module", slowly)
    use_tier(tier, announce)
    assert said == [masks.COMPILING]
    heard.clear()
    monkeypatch.setattr(masks, "_tier", None)
    warm_up(announce)
    assert said == [masks.COMPILING] * 2


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_is_told_of_a_compilation_unasked(monkeypatch, capsys, is_terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    masks._tell_a_terminal(masks.COMPILING)
    assert capsys.readouterr().err == f"{masks.COMPILING}\n" * is_terminal


def test_kernels_that_cannot_be_cached_are_compiled_all_the_same(monkeypatch, kernels):
    njit = kernels.njit

    def nowhere_to_write(*arguments, cache=False, **options):
        def compile_now(function):
            if cache:
                raise RuntimeError("cannot cache function: no locator available")
            return njit(*arguments, **options)(function)

        return compile_now

    monkeypatch.setattr(kernels, "njit", nowhere_to_write)
    assert kernels._kernel((kernels.types.int64,))(lambda number: number + 1)(2) == 3
