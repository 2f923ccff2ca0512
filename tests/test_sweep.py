import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skullnb import metrics, published
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.phantom import published_stack
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.stack import Stack
from skullnb.stack.model import Origin
from skullnb.sweep import best_width, parse_widths, summarise, sweep_kernel_width, write_csv

DTYPE = [("slice", int), ("kernel_width", int)]


def square_heads():
    images, reference = np.zeros((2, 40, 48)), np.zeros((2, 40, 48), dtype=np.uint8)
    images[0, 12:22, 12:30] = 1.0
    reference[0, 10:25, 10:33] = 1
    images[1, 15:25, 20:30] = 1.0
    reference[1, 13:27, 18:32] = 1
    return Stack(images, reference)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True))
@settings(max_examples=20)
def test_every_row_is_what_the_whole_pipeline_gives(widths):
    stack = square_heads()
    table = sweep_kernel_width(stack, widths, metrics.OVERLAPS + metrics.DISTANCES)
    assert len(table) == 2 * len(widths)
    for row in table:
        trace = trace_skull_mask(
            stack.images[row["slice"]], PipelineSettings(kernel_width=int(row["kernel_width"]))
        )
        expected = metrics.score(trace.mask, stack.reference[row["slice"]])
        for name in metrics.OVERLAPS + metrics.DISTANCES:
            assert row[name] == getattr(expected, name)


def test_the_shared_stages_run_once_a_slice(monkeypatch):
    calls = []
    threshold = cv2.threshold

    def counting(*args, **kwargs):
        calls.append(args)
        return threshold(*args, **kwargs)

    monkeypatch.setattr("cv2.threshold", counting)
    sweep_kernel_width(square_heads(), range(1, 12))
    assert len(calls) == 2


def test_other_settings_are_kept():
    stack = square_heads()
    ellipse = sweep_kernel_width(stack, (9,))
    rectangle = sweep_kernel_width(stack, (9,), settings=PipelineSettings(kernel_shape="rectangle"))
    assert np.all(ellipse["iou"] != rectangle["iou"])
    ring = stack.images.copy()
    ring[0, 15:18, 15:20] = 0
    open_ring = Stack(ring, stack.reference)
    filled = sweep_kernel_width(open_ring, (1,))
    hollow = sweep_kernel_width(open_ring, (1,), settings=PipelineSettings(fill_holes=False))
    assert hollow["iou"][0] < filled["iou"][0]


def test_the_phantom_gives_the_published_sweep():
    rows = summarise(sweep_kernel_width(published_stack(), published.SWEEP))
    for row in rows:
        expected = published.SWEEP[int(row["kernel_width"])]
        assert row["iou"] == pytest.approx(expected.iou, abs=5e-4)
        assert row["dice"] == pytest.approx(expected.dice, abs=5e-4)
    assert rows["kernel_width"][rows["iou"].argmax()] == published.KERNEL_WIDTH


def test_distances_are_in_mm_when_a_spacing_is_known():
    stack = square_heads()
    in_px = sweep_kernel_width(stack, (5,), ("hausdorff", "assd"))
    scaled = Stack(stack.images, stack.reference, spacing_mm=(2.0, 2.0))
    in_mm = sweep_kernel_width(scaled, (5,), ("hausdorff", "assd"))
    np.testing.assert_allclose(in_mm["hausdorff"], 2 * in_px["hausdorff"])


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("iou", (0.5, 0.9, 0.7), 2),
        ("assd", (3.0, 2.0, 1.0), 3),
        ("hd95", (1.0, 2.0, 3.0), 1),
        ("volume_difference", (-0.3, 0.2, 0.1), 3),
        ("iou", (0.9, 0.9, 0.7), 1),
        ("iou", (np.nan, 0.1, 0.2), 3),
    ],
)
def test_the_best_width_depends_on_what_the_metric_wants(metric, values, best):
    rows = [(0, width, value) for width, value in zip((1, 2, 3), values, strict=True)]
    assert best_width(np.array(rows, dtype=[*DTYPE, (metric, float)]), metric) == best


def test_slices_without_a_score_are_left_out_of_the_mean():
    rows = [(0, 26, np.nan), (1, 26, 0.5), (0, 28, np.nan), (1, 28, np.nan)]
    table = np.array(rows, dtype=[*DTYPE, ("iou", float)])
    np.testing.assert_array_equal(summarise(table)["iou"], [0.5, np.nan])
    with pytest.raises(InvalidSetting, match="all empty"):
        best_width(table[2:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": ()}, "at least one"),
        ({"widths": (-1,)}, "whole number"),
        ({"metrics": ("f1",)}, "Unknown metric 'f1'; there are iou, dice"),
    ],
)
def test_an_impossible_sweep_is_refused(change, message):
    with pytest.raises(InvalidSetting, match=message):
        sweep_kernel_width(square_heads(), **{"widths": (3,), **change})


def test_a_sweep_without_a_reference_is_refused():
    with pytest.raises(InvalidSetting, match="has none; give one"):
        sweep_kernel_width(Stack(square_heads().images), (3,))


@pytest.mark.parametrize("text", ["", "a", "5:3", "1:2:3:4", "1:5:0", "2,,3", "1.5", ":"])
def test_widths_that_cannot_be_read_are_refused(text):
    with pytest.raises(InvalidSetting, match="not understood"):
        parse_widths(text)


def test_a_sweep_is_written_as_csv(tmp_path):
    table = sweep_kernel_width(square_heads(), (3, 5))
    path = write_csv(table, tmp_path / "sweep.csv")
    read = np.genfromtxt(path, delimiter=",", names=True)
    assert read.dtype.names == ("slice", "kernel_width", "iou", "dice")
    np.testing.assert_array_equal(read["iou"], table["iou"])


def test_a_slice_that_cannot_be_swept_is_called_by_its_number_in_the_file():
    images = np.zeros((2, 8, 8))
    images[1, 0, 0] = np.nan
    origin = Origin((0, 0), (104, 105), (None,))
    stack = Stack(images, np.zeros((2, 8, 8), dtype=np.uint8), geometry=origin)
    with pytest.raises(InvalidImage, match="lice 105"):
        sweep_kernel_width(stack, [3])
