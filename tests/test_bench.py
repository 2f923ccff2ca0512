"""What the benchmark reports: its structure and its honesty, never how fast anything was."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from skullnb import bench
from skullnb.bench import child, clock, contestants, processes, run, slices
from skullnb.bench.literal import literal_mask
from skullnb.cli import main
from skullnb.errors import InvalidImage, InvalidSetting, SkullnbError
from skullnb.figures import timing, timing_tables
from skullnb.phantom import published_stack
from skullnb.pipeline import use_tier
from skullnb.pipeline.masks import _current_tier
from skullnb.stack import Stack


@pytest.fixture(scope="module")
def images():
    return [image[::4, ::4].copy() for image in published_stack().images[1:3]]


@pytest.fixture(scope="module")
def found(images):
    return bench.compare(images, 9, 2)


@pytest.fixture
def four_threads():
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    yield 4
    cv2.setNumThreads(before)


def test_all_take_part_and_the_floor_is_one_floor(found):
    assert list(found) == [one.name for one in contestants.here()]
    assert found["floor"]["times_floor"] == [1, 1, 1]
    assert found["literal"]["times_faster"] == [1, 1, 1]
    for one in found.values():
        assert one["ms"] == sorted(one["ms"])


def test_the_masks_of_all_are_nearly_those_of_the_article(found):
    for name in ("numba", "numpy", "opencv"):
        assert found[name]["differing_px"] == 0
    for name in ("scipy", "scikit-image", "simpleitk"):
        assert found[name]["iou"] > 0.97
        assert found[name]["differing_px"] > 0


@pytest.mark.parametrize("one", contestants.here(), ids=lambda one: one.name)
def test_no_contestant_stumbles_over_a_slice_with_nothing_to_choose(one):
    one.warm()
    edge = np.zeros((40, 40), dtype=np.float32)
    edge[:, 10:30] = 1
    if one.name != "floor":
        assert not one.mask(edge, 5).any()


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_warming_a_way_makes_it_the_one_that_is_timed(name):
    for other in ("numpy", "numba"):
        use_tier(other)
        (one,) = contestants.here(name)
        one.warm()
        assert _current_tier().__name__.endswith(f"with_{name}")
    use_tier("auto")


def test_a_mask_that_must_be_the_literal_one_and_is_not_stops_the_run(images):
    wrong = contestants.Contestant("numpy", "", lambda image, _: 1 - literal_mask(image), same=True)
    with pytest.raises(SkullnbError, match="A mask of numpy is not the literal one"):
        bench.compare(images[:1], 9, 1, [*contestants.here("literal"), wrong])


def test_what_is_absent_is_left_out_and_named(monkeypatch, images):
    monkeypatch.setattr(contestants, "find_spec", lambda name: None)
    assert [one.name for one in contestants.here()] == [
        "literal",
        "numpy",
        "opencv",
        "scipy",
        "floor",
    ]
    monkeypatch.setattr(
        run, "CONTESTANTS", [contestants.Contestant("scipy", "", max, module="nowhere")]
    )
    lines = run.lines({**bench.recorded(), "absent": ["scipy"]})
    assert "absent: scipy; pip install 'skullnb[bench,fast]' brings all" in lines


def test_the_literal_way_is_left_out_where_it_would_take_long(monkeypatch, images):
    monkeypatch.setattr(slices, "MOST_LOOKS", 10)
    assert "literal" not in bench.compare(images[:1], 9, 1)
    assert "literal" not in bench.time_stages(images[:1], 9, 1)
    assert "literal" in bench.compare(images[:1], 9, 1, contestants.here("literal", "floor"))


def test_turns_are_taken_and_only_the_rounds_are_counted():
    order = []
    work = {name: partial(order.append, name) for name in "ab"}
    prepare = {"b": partial(order.append, "ready")}
    times = clock.take_turns(work, 2, prepare)
    assert order == ["a", "ready", "b"] * 3
    assert [len(one) for one in times.values()] == [2, 2]
    assert len(clock.take_turns(work, 2, warm=True)["a"]) == 2
    with pytest.raises(InvalidSetting, match="at least 1"):
        clock.take_turns(work, 0)


def test_opencv_works_with_one_thread_meanwhile_and_gets_them_back(four_threads):
    seen = []
    clock.take_turns({"": lambda: seen.append(cv2.getNumThreads())}, 1)
    assert set(seen) == {1}
    with pytest.raises(InvalidImage):
        bench.time_stages([np.full((8, 8), np.nan)], 5, 1)
    assert cv2.getNumThreads() == four_threads


def test_every_way_has_every_stage(images):
    stages = bench.time_stages(images, 9, 1)
    assert list(stages) == ["floor", "literal", "numba", "numpy"]
    for way in ("literal", "numba", "numpy"):
        assert tuple(stages[way]) == bench.STAGES
        assert min(stages[way].values()) > 0


def test_a_slice_with_nothing_to_dilate_leaves_the_later_stages_out():
    stages = bench.time_stages([np.zeros((20, 20))], 5, 1)
    assert list(stages["numpy"]) == ["normalise"]


def test_a_growing_number_of_specks_is_a_growing_number_of_components():
    image = published_stack().images[2]
    numbers = [slices.looks(slices.with_specks(image, n)) / image.size for n in (0, 100, 1000)]
    # The brighter frame moves Otsu's level a little, and with it some specks of the head.
    assert np.diff(numbers) == pytest.approx([100, 900], rel=0.02)


def test_times_are_told_for_each_size_and_each_number_of_components(monkeypatch):
    few = contestants.here("floor", "numpy")
    monkeypatch.setattr(slices, "here", lambda *_: few)
    sides = slices.against_size((48, 96), 1)
    assert sides["sides"] == [48, 96]
    components = slices.against_components((10, 300), 1)["components"]
    assert components == sorted(components)
    assert np.diff(components) == pytest.approx([290], rel=0.05)
    for one in few:
        assert len(sides["ms"][one.name]) == 2
        assert all(low > 0 for low, *_ in sides["ms"][one.name])
    # The larger side of four pixels in one: nothing but copies of rows and columns.
    image = np.arange(6.0).reshape(2, 3)
    assert slices.stretched(image, 4).tolist() == [[0, 0, 1, 2]] * 2 + [[3, 3, 4, 5]] * 2


def test_the_exponent_of_growth_is_that_of_the_times():
    times = [[size**1.5 * factor for size in (10, 100, 1000)] for factor in (1, 2, 3)]
    assert clock.growth([10, 100, 1000], times) == pytest.approx([1.5] * 3)


def test_the_sweep_is_held_against_the_literal_masks(images, monkeypatch):
    swept = slices.time_sweep(images[:1], (5, 9), 1)
    assert list(swept["ms"]) == ["literal", "numba", "numpy"]
    monkeypatch.setattr(slices.literal, "literal_mask", lambda image, _: image)
    with pytest.raises(SkullnbError, match="A mask of the sweep is not"):
        slices.time_sweep(images[:1], (5, 9), 1)


def test_a_batch_of_each_kind_says_its_rate_memory_and_size(tmp_path, images):
    path = str(tmp_path / "images.npy")
    np.save(path, np.array(images * 2))
    for answer in (child.article(path, "1"), child.ours(path, "2", "brief", ".npy")):
        assert answer["slices_a_second"] > 0
        assert answer["pixels"] == images[0].size
        assert answer["bytes_a_slice"] == pytest.approx(images[0].size + 128 / 4)


def test_starting_and_batches_are_timed_in_processes_of_their_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("pickle.py").write_text("1 / 0")  # a module of the data's folder, which none may run
    start = processes.time_start(1, compile_anew=False)
    assert start["import_libraries"] > 0
    assert start["import_skullnb"] > 0
    assert start["first_mask"] > 0
    assert start["first_mask_ever"] is None
    hidden = {"zarr", "distributed"}
    monkeypatch.setattr(processes, "find_spec", lambda name: None if name in hidden else name)
    batch = processes.time_batch(3, 1, workers=(1,))
    assert (batch["slices"], batch["tasks"], batch["zarr_share"]) == (3, None, None)
    assert [one["way"] for one in batch["ways"]] == ["article", "skullnb", "skullnb, brief"]
    assert all(one["peak_mb"] > 10 for one in batch["ways"])


def test_a_recorded_run_is_read_again(monkeypatch, tmp_path):
    found = bench.recorded()
    monkeypatch.setattr(run, "RECORDED", tmp_path / "recorded.json")
    assert bench.record(found) == tmp_path / "recorded.json"
    run.recorded.cache_clear()
    assert bench.recorded() == found
    run.recorded.cache_clear()


def test_a_measurement_that_fails_in_its_own_process_says_why():
    with pytest.raises(SkullnbError, match="process of its own failed: ZeroDivisionError"):
        processes._python("-c", "1 / 0")


def test_instructions_are_not_counted_without_the_tool(monkeypatch, images):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert processes.count_instructions(images[0], ("floor",)) is None
    text = timing_tables.instruction_table({"instructions": [None, None]}).data
    assert "not counted" in text


def test_the_recorded_run_is_a_full_one_and_reads_as_a_table():
    recorded = bench.recorded()
    assert not recorded["quick"]
    assert recorded["absent"] == []
    text = "\n".join(bench.lines(recorded))
    for part in ("synthetic phantom", "noise,", "ms of each stage", "sweep of 15", "a batch of"):
        assert part in text
    for name in ("numba", "numpy"):
        assert recorded["slices"][name]["differing_px"] == 0
        assert recorded["noisy"][name]["differing_px"] == 0
    # A quick run, or one put together by hand, would pass for a full one on the page.
    assert recorded["batch"]["slices"] >= 300
    assert len(recorded["batch"]["tasks"]) >= 4
    assert all(len(set(one["slices_a_second"])) > 1 for one in recorded["batch"]["ways"])
    assert all(recorded["instructions"])


def test_the_command_writes_what_it_prints_and_keeps_what_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "bench", lambda *_, **__: bench.recorded())
    words = ["bench", "--quick", "-o", str(tmp_path / "times.json")]
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 0, said.output
    assert "ms of each stage" in said.stdout
    assert json.loads((tmp_path / "times.json").read_text()) == bench.recorded()
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert CliRunner().invoke(main, [*words, "--overwrite"]).exit_code == 0
    refused = CliRunner().invoke(main, ["bench", "--quick", "--record"])
    assert refused.exit_code == 2


def test_a_quick_run_holds_all_that_the_table_needs(monkeypatch, images):
    for name in ("against_size", "against_components", "time_sweep", "time_start"):
        part = {"time_start": "start", "time_sweep": "sweep"}.get(name, name.split("_")[1])
        monkeypatch.setattr(run, name, lambda *_, part=part: bench.recorded()[part])
    monkeypatch.setattr(run, "noisy", lambda number: images[:number])
    quick = bench.bench(Stack(np.array(images)), 9, quick=True)
    assert set(quick) == set(bench.recorded()) - {"batch", "instructions"}
    assert list(bench.lines(quick))


def test_the_machine_is_named_without_its_owner():
    named = bench.machine()
    assert all(named.values())
    assert not any("/" in value for name, value in named.items() if name != "processor")


def test_published_times_are_told_from_projected_ones():
    rows = timing_tables.published_table().data.splitlines()[2:5]
    assert ["projected" in row for row in rows] == [False, True, True]


def test_every_figure_has_one_finding_and_draws(images, found):
    full = bench.recorded()
    stages = bench.time_stages(images, 9, 1)
    without = {way: times for way, times in stages.items() if way != "literal"}
    for figure in (
        timing.stage_bars(stages),
        timing.stage_bars(without),
        timing.rival_bars(found),
        timing.growth_lines(full["size"], full["components"]),
        timing.task_line(full["batch"]["tasks"]),
        timing.plan_lines(900.0, {"a disk": 100.0}),
    ):
        assert figure.get_suptitle()
        assert figure.png()
