"""The explorer without a front end: controls are set, picture and numbers are read."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipywidgets import Widget
from PIL import Image

from skullnb import metrics
from skullnb.errors import InvalidImage, InvalidSetting
from skullnb.explore import Explorer, ExplorerState, compare_settings
from skullnb.explore.stages import CACHED_PIXELS, CACHED_SWEEPS, Stages
from skullnb.figures.explorer import OUTLINES, STAGES, picture_size
from skullnb.figures.style import PALETTE
from skullnb.pipeline import PipelineSettings, trace_skull_mask
from skullnb.stack import Stack, read_stack
from skullnb.stack.model import Origin

SHAPE = (96, 80)


def head(seed: int, shape: tuple[int, int] = SHAPE, cut: bool = False) -> np.ndarray:
    """A bright brain in a dark ring in a bright scalp, with noise."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    height, width = shape
    radius = np.hypot((rows - height / 2) / (0.42 * height), (columns - width / 2) / (0.4 * width))
    image = np.select([radius < 0.75, radius < 0.88, radius < 1.0], [0.6, 0.05, 0.9], 0.02)
    image += np.random.default_rng(seed).normal(0, 0.02, shape)
    if cut:
        image = image[height // 8 :]
    return image.astype(np.float32)


def reference(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    height, width = shape
    radius = np.hypot((rows - height / 2) / (0.42 * height), (columns - width / 2) / (0.4 * width))
    return (radius < 0.88).astype(np.uint8)


@pytest.fixture
def stack() -> Stack:
    return Stack(
        np.stack([head(seed) for seed in range(4)]), np.stack([reference()] * 4), groups="a,a,b,b"
    )


@pytest.fixture
def explorer(stack: Stack) -> Explorer:
    return Explorer(stack, PipelineSettings(kernel_width=8))


def test_everything_that_can_be_moved_or_read_is_laid_out(explorer: Explorer) -> None:
    def inside(widget: Widget) -> Iterator[Widget]:
        yield widget
        for child in getattr(widget, "children", ()):
            yield from inside(child)

    shown = set(inside(explorer.widget))
    assert {*explorer.controls.values(), explorer.data.widget, explorer.code} <= shown


def pixels(explorer: Explorer) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(explorer.picture.value)))


def colour(kind: str) -> list[int]:
    return [int(PALETTE[kind][at : at + 2], 16) for at in (1, 3, 5)]


def count(explorer: Explorer, kind: str) -> int:
    return int((pixels(explorer) == colour(kind)).all(axis=-1).sum())


def test_it_opens_on_the_middle_slice_with_the_given_settings(explorer: Explorer) -> None:
    assert explorer.state == ExplorerState(2, settings=PipelineSettings(kernel_width=8))
    assert explorer.facts["slice"] == "2 (no. 3 of 4)"
    assert explorer.facts["group"] == "b"


def test_moving_the_kernel_slider_changes_picture_mask_and_scores(
    explorer: Explorer, stack: Stack
) -> None:
    before, widget = explorer.picture.value, explorer.picture
    explorer.controls["kernel_width"].value = 12
    assert explorer.picture is widget
    assert explorer.picture.value != before
    expected = trace_skull_mask(stack.images[2], PipelineSettings(kernel_width=12)).mask
    assert np.array_equal(explorer.mask, expected)
    assert explorer.facts["IoU"] == f"{metrics.iou(expected, stack.reference[2]):.4f}"
    assert explorer.facts["Dice"] == f"{metrics.dice(expected, stack.reference[2]):.4f}"
    assert f">{explorer.facts['IoU']}</td>" in explorer.readout.value


def test_the_slice_slider_shows_another_slice_and_its_own_scores(
    explorer: Explorer, stack: Stack
) -> None:
    before = explorer.picture.value
    explorer.controls["slice"].value = 0
    assert explorer.picture.value != before
    mask = trace_skull_mask(stack.images[0], PipelineSettings(kernel_width=8)).mask
    assert explorer.facts["IoU"] == f"{metrics.iou(mask, stack.reference[0]):.4f}"
    assert explorer.facts["group"] == "a"


def test_a_slice_cut_from_a_file_is_named_by_its_number_there(stack: Stack, tmp_path: Path) -> None:
    np.save(tmp_path / "scans.npy", stack.images)
    explorer = Explorer(read_stack(tmp_path / "scans.npy", slices="2:4"), slice_number=1)
    assert explorer.facts["slice"] == "3 (no. 2 of 2)"
    assert "Slice 3, " in explorer.caption.value
    assert not explorer.controls["slice"].readout
    assert Explorer(stack).controls["slice"].readout


def test_scores_can_be_hidden_and_shown_again(explorer: Explorer) -> None:
    facts = dict(explorer.facts)
    explorer.controls["scores"].value = False
    assert explorer.facts["scores"] == "hidden"
    assert {"IoU", "Dice", "reference"}.isdisjoint(explorer.facts)
    assert facts["IoU"] not in explorer.readout.value
    explorer.controls["kernel_width"].value = 9
    assert explorer.facts["scores"] == "hidden"
    explorer.move(kernel_width=8)
    explorer.controls["scores"].value = True
    assert explorer.facts == facts


def test_every_stage_is_another_picture_of_the_same_mask(explorer: Explorer) -> None:
    seen, facts = set(), dict(explorer.facts)
    for stage in STAGES:
        explorer.controls["stage"].value = stage
        seen.add(explorer.picture.value)
        assert explorer.facts == facts
    # This head's dilated brain has no hole, so filling leaves the last two pictures the same.
    assert len(seen) == len(STAGES) - 1


def test_the_stage_pictures_show_the_stages_of_the_trace(stack: Stack) -> None:
    explorer = Explorer(Stack(np.stack([head(0, (768, 624))])))
    explorer.move(outlines=())
    trace = trace_skull_mask(explorer.stack.images[0])
    explorer.move(stage="binary")
    assert np.array_equal(pixels(explorer)[..., 0], trace.binary * 255)
    explorer.move(stage="components")
    assert np.array_equal((pixels(explorer) == colour("brain")).all(axis=-1), trace.brain == 1)
    explorer.move(stage="mask")
    red, green, blue = pixels(explorer).astype(int).transpose(2, 0, 1)
    tinted = (red != green) | (green != blue)
    assert np.array_equal(tinted, trace.mask == 1)


def test_a_component_that_touches_the_frame_is_painted_as_scalp() -> None:
    explorer = Explorer(Stack(head(0, cut=True)[np.newaxis]))
    explorer.move(stage="components", outlines=())
    assert explorer.facts["components"].endswith(", 1 touch the frame")
    assert count(explorer, "scalp") > 0


def test_the_threshold_slider_follows_otsu_until_it_is_taken_over(explorer: Explorer) -> None:
    threshold, otsu = explorer.controls["threshold"], explorer.controls["otsu"]
    level = trace_skull_mask(explorer.stack.images[2]).threshold
    assert threshold.value == level
    assert threshold.disabled
    assert explorer.facts["threshold"] == f"{level} (Otsu)"
    before = explorer.mask
    otsu.value = False
    assert not threshold.disabled
    assert explorer.state.settings.threshold == level
    assert np.array_equal(explorer.mask, before)
    threshold.value = 200
    assert explorer.facts["threshold"] == f"200 (Otsu: {level})"
    assert not np.array_equal(explorer.mask, before)
    otsu.value = True
    assert threshold.value == level
    assert np.array_equal(explorer.mask, before)


def test_the_edge_rule_can_be_switched_off() -> None:
    explorer = Explorer(Stack(head(1, cut=True)[np.newaxis]), PipelineSettings(threshold=190))
    assert explorer.facts["why empty"].startswith("every bright component touches the frame")
    assert not explorer.mask.any()
    explorer.controls["drop_edge_touching"].value = False
    assert "why empty" not in explorer.facts
    assert explorer.mask.any()


@pytest.mark.parametrize("kind", OUTLINES)
def test_each_outline_can_be_switched_off(explorer: Explorer, kind: str) -> None:
    assert count(explorer, kind) > 20
    explorer.controls[kind].value = False
    assert count(explorer, kind) == 0
    assert kind not in explorer.caption.value


def test_without_a_reference_it_shows_areas_only(stack: Stack) -> None:
    explorer = Explorer(Stack(stack.images))
    assert explorer.facts["scores"] == "none: no reference mask"
    assert {"IoU", "Dice", "reference", "group"}.isdisjoint(explorer.facts)
    assert f"{np.count_nonzero(explorer.mask):,} px" in explorer.facts["mask"]
    assert explorer.controls["reference"].disabled
    assert explorer.state.outlines == ("brain", "mask")
    assert count(explorer, "reference") == 0


def test_a_slice_that_cannot_be_worked_on_is_said_in_the_panel_and_raises_in_code_only(
    stack: Stack,
) -> None:
    images = stack.images.copy()
    images[3, 5, 5] = np.nan
    explorer = Explorer(Stack(images, stack.reference))
    with pytest.raises(InvalidImage, match=r"[Ss]lice 3"):
        explorer.move(slice_number=3)
    explorer.controls["slice"].value = 2
    explorer.controls["slice"].value = 3
    assert "lice 3" in explorer.facts["problem"]
    assert explorer.screen.parts["sweep"].value == ""
    assert "lice 3" in explorer.readout.value
    assert pixels(explorer).shape == (1, 1, 3)
    explorer.controls["slice"].value = 1
    assert "problem" not in explorer.facts
    assert pixels(explorer).shape != (1, 1, 3)


def test_a_flat_slice_is_shown_with_the_reason_why_its_mask_is_empty() -> None:
    explorer = Explorer(Stack(np.zeros((1, 20, 20)), np.zeros((1, 20, 20), np.uint8)))
    assert "flat" in explorer.facts["why empty"]
    assert explorer.facts["IoU"] == "nan"


def test_a_hundred_moves_leave_no_figure_no_widget_and_a_bounded_cache(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    made: list[Widget] = []
    monkeypatch.setattr(Widget, "_widget_construction_callback", made.append)
    for step in range(100):
        explorer.controls["kernel_width"].value = step % 61
        explorer.controls["slice"].value = step % 4
        explorer.controls["otsu"].value = step % 3 == 0
        explorer.controls["threshold"].value = 40 + step
        explorer.controls["stage"].value = STAGES[step % len(STAGES)]
        explorer.controls["connectivity"].value = (8, 4)[step % 2]
    assert pyplot.get_fignums() == []
    assert made == []
    assert len(explorer._stages) <= CACHED_PIXELS // (SHAPE[0] * SHAPE[1])
    assert len(explorer._stages._sweeps) == CACHED_SWEEPS


def test_the_cache_forgets_the_slice_that_was_seen_longest_ago(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skullnb.explore.stages.CACHED_PIXELS", 2 * SHAPE[0] * SHAPE[1])
    runs = []
    monkeypatch.setattr(
        "skullnb.explore.stages.trace_skull_mask",
        lambda *given, **named: runs.append(named["slice_number"]) or trace_skull_mask(*given),
    )
    stages = Stages(stack)
    for number in (0, 1, 0, 2, 0, 1):
        stages.trace(number, PipelineSettings())
    assert runs == [0, 1, 2, 1]
    assert len(stages) == 2


def test_a_slice_larger_than_the_cache_is_still_kept_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skullnb.explore.stages.CACHED_PIXELS", 10)
    stages = Stages(stack)
    for width in (0, 5, 9):
        stages.trace(0, PipelineSettings(kernel_width=width))
    assert len(stages) == 1


def test_everything_before_the_dilation_runs_once_for_all_kernels(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skullnb.explore.stages.trace_skull_mask", None)
    explorer.controls["kernel_width"].value = 11
    explorer.move(kernel_shape="rectangle", fill_holes=False)
    expected = PipelineSettings(kernel_width=11, kernel_shape="rectangle", fill_holes=False)
    assert np.array_equal(explorer.mask, trace_skull_mask(explorer.stack.images[2], expected).mask)


ANY_SETTINGS = st.builds(
    PipelineSettings,
    kernel_width=st.integers(0, 70),
    kernel_shape=st.sampled_from(["ellipse", "rectangle"]),
    connectivity=st.sampled_from([4, 8]),
    drop_edge_touching=st.booleans(),
    threshold=st.one_of(st.just("otsu"), st.integers(0, 255)),
    fill_holes=st.booleans(),
)
HEADS = Stack(np.stack([head(0), head(1), head(2)[::-1] ** 2, np.roll(head(3), 20, axis=0)]))
SHARED = Explorer(HEADS)


@settings(max_examples=150)
@given(
    chosen=ANY_SETTINGS,
    number=st.integers(0, len(HEADS) - 1),
    stage=st.sampled_from(STAGES),
)
def test_the_mask_is_the_pipelines_bit_for_bit(
    chosen: PipelineSettings, number: int, stage: str
) -> None:
    state = ExplorerState(number, stage, chosen, ("mask",))
    SHARED.state = state
    expected = trace_skull_mask(HEADS.images[number], chosen)
    assert SHARED.state == state
    assert np.array_equal(SHARED.mask, expected.mask)
    assert SHARED.facts["threshold"].split()[0] == str(expected.threshold)
    assert SHARED.facts["brain"] == f"{np.count_nonzero(expected.brain):,} px"
    assert SHARED.facts.get("why empty", "") == expected.reason


@settings(max_examples=30)
@given(chosen=ANY_SETTINGS, number=st.integers(0, len(HEADS) - 1))
def test_the_code_cell_makes_the_mask_shown(chosen: PipelineSettings, number: int) -> None:
    SHARED.state = ExplorerState(number, settings=chosen)
    namespace = {"stack": HEADS}
    exec(SHARED.state.code(), namespace)
    assert np.array_equal(namespace["trace"].mask, SHARED.mask)


def test_the_panel_shows_the_code_of_the_state(explorer: Explorer) -> None:
    explorer.controls["kernel_width"].value = 13
    assert "kernel_width=13" in explorer.code.value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slice_number": 4}, "slices 0 to 3"),
        ({"slice_number": -1}, "slices 0 to 3"),
        ({"stage": "skull"}, "normalised, binary"),
        ({"outlines": ("scalp",)}, "brain, mask, reference"),
        ({"kernel": 3}, "kernel_width"),
        ({"kernel_width": -1}, "kernel width"),
    ],
)
def test_an_impossible_move_is_refused_and_changes_nothing(
    explorer: Explorer, changes: dict, words: str
) -> None:
    before = explorer.state
    with pytest.raises(InvalidSetting, match=words):
        explorer.move(**changes)
    assert explorer.state == before


def test_a_move_of_several_controls_draws_once(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    original = explorer.screen.show
    monkeypatch.setattr(
        explorer.screen,
        "show",
        lambda *given, **named: drawn.append(1) or original(*given, **named),
    )
    explorer.move(slice_number=0, kernel_width=30, threshold=90, stage="mask", outlines=("mask",))
    assert drawn == [1]


def test_a_kernel_wider_than_the_slider_widens_the_slider(stack: Stack) -> None:
    explorer = Explorer(stack, PipelineSettings(kernel_width=90))
    assert explorer.state.settings.kernel_width == 90
    explorer.move(kernel_width=120)
    assert explorer.state.settings.kernel_width == 120


def test_texts_from_outside_are_escaped(stack: Stack) -> None:
    explorer = Explorer(Stack(stack.images, groups=["<script>x</script>"] * 4))
    assert "<script>" not in explorer.readout.value
    assert "&lt;script&gt;" in explorer.readout.value


def test_a_large_slice_is_traced_when_the_slider_is_let_go_and_shown_small() -> None:
    small, large = np.zeros((1, 20, 20)), np.zeros((1, 1500, 2000), np.uint8)
    large[0, 400:900, 400:900] = 9
    assert Explorer(Stack(small)).controls["kernel_width"].continuous_update
    explorer = Explorer(Stack(large))
    assert not explorer.controls["kernel_width"].continuous_update
    assert pixels(explorer).shape == (768, 1024, 3)


def test_only_the_slice_shown_is_read() -> None:
    read = []

    class Counting(np.ndarray):
        def __getitem__(self, key: int) -> np.ndarray:
            read.append(key)
            return np.asarray(super().__getitem__(key))

    images = np.stack([head(seed) for seed in range(6)]).view(Counting)
    explorer = Explorer(Stack(images))
    read.clear()
    explorer.controls["slice"].value = 5
    explorer.controls["kernel_width"].value = 4
    assert set(read) == {5}


def test_pixels_that_are_not_square_are_shown_in_true_proportions() -> None:
    assert picture_size((300, 300), (1.0, 3.0)) == (300, 900)
    explorer = Explorer(Stack(np.eye(300)[np.newaxis], spacing_mm=(1.0, 3.0)))
    assert pixels(explorer).shape == (300, 900, 3)


def test_the_page_figure_carries_the_same_numbers(explorer: Explorer) -> None:
    texts = [text.get_text() for text in explorer.figure().axes[1].texts]
    assert texts == [*explorer.facts, *explorer.facts.values()]


def test_describing_gives_one_line_a_fact(explorer: Explorer) -> None:
    lines = explorer.describe().splitlines()
    assert [re.split(r"\s{2,}", line, maxsplit=1) for line in lines] == [
        list(fact) for fact in explorer.facts.items()
    ]


def test_comparing_settings_counts_the_pixels_that_changed(stack: Stack) -> None:
    base = PipelineSettings(kernel_width=8)
    moves = {"as it is": base, "wider": replace(base, kernel_width=12)}
    rows = compare_settings(stack, moves, 1).data.splitlines()[2:]
    masks = [trace_skull_mask(stack.images[1], one).mask for one in moves.values()]
    assert rows[0].split("|")[5].strip() == "0"
    assert rows[1].split("|")[5].strip() == f"{np.count_nonzero(masks[0] != masks[1]):,}"
    assert rows[1].split("|")[6].strip() == f"{metrics.iou(masks[1], stack.reference[1]):.4f}"


def test_comparing_settings_without_a_reference_leaves_the_scores_out(stack: Stack) -> None:
    table = compare_settings(Stack(stack.images), {"as it is": PipelineSettings()}, 1).data
    assert "changed" in table
    assert "IoU" not in table


def calls_during(do: Callable[[], object]) -> Counter[str]:
    """Count how often each function of skullnb is called."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "skullnb" in frame.f_globals.get("__name__", ""):
            calls[frame.f_code.co_name] += 1

    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(None)
    return calls


def test_a_move_of_the_kernel_slider_goes_once_over_the_picture_in_each_step(
    explorer: Explorer,
) -> None:
    explorer.move(stage="mask", kernel_width=9)  # the sweep is kept from here on
    slider = explorer.controls["kernel_width"]
    once = ("dilate", "fill_holes", "iou", "dice", "assd", "compose", "encode_png")
    never = ("trace_skull_mask", "normalise", "label_components", "masks_by_width", "histogram_svg")
    for width in (10, 33, 5):
        calls = calls_during(lambda width=width: setattr(slider, "value", width))
        assert {name: calls[name] for name in (*once, *never)} == {
            **dict.fromkeys(once, 1),
            **dict.fromkeys(never, 0),
        }


def test_a_slice_that_cannot_be_explored_is_called_by_its_number_in_the_file():
    origin = Origin((0,), (104,), (None,))
    stages = Stages(Stack(np.full((1, 8, 8), np.nan), geometry=origin))
    with pytest.raises(InvalidImage, match="lice 104"):
        stages.trace(0, PipelineSettings())
