import json

import measure_times as bench
import numpy as np
import pandas as pd
import pytest

from skullnb import pipeline
from skullnb.errors import SkullnbError
from skullnb.phantom import published_stack, subject
from skullnb.study import article, timing


@pytest.fixture(scope="module")
def images():
    stack = subject(3, levels=[20.0, 40.0], shape=(96, 78), spacing_mm=(3.0, 3.0))
    return list(stack.images)


def test_every_way_takes_its_turn_in_every_round_and_the_first_is_not_counted():
    calls, ticks = [], iter(range(100))
    work = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = timing.take_turns(work, 2, clock=lambda: float(next(ticks)))
    assert calls == list("ababab")
    assert times.shape == (2, 2)
    assert (times == 1.0).all(axis=None)


def test_all_ways_are_held_against_the_articles_masks(images, monkeypatch):
    found = bench.compare(images, 2, 9, bench.CONTESTANTS).set_index("way")
    assert list(found.index) == list(bench.CONTESTANTS)
    assert (found.loc[[timing.ARTICLE, bench.CARE, timing.MASK], "differing_px"] == 0).all()
    assert found.loc[timing.ARTICLE, "faster"] == found.loc[timing.FLOOR, "floors"] == 1.0
    assert (found.ms_low <= found.ms_high).all()
    broken = bench.CONTESTANTS | {timing.MASK: lambda image, width: np.zeros(image.shape, "u1")}
    monkeypatch.setattr(bench, "CONTESTANTS", broken)
    with pytest.raises(SkullnbError, match="mask alone: not the article's mask"):
        bench.compare(images, 1, 9)


@pytest.mark.parametrize("name", [one for one in bench.CONTESTANTS if one != timing.FLOOR])
def test_every_way_finds_the_head_of_the_article(name):
    image = published_stack().images[2]
    mask, truth = bench.CONTESTANTS[name](image, 26), article.skull_mask(image, 26)
    assert mask.dtype == np.uint8
    assert (mask & truth).sum() / (mask | truth).sum() > 0.98
    assert np.array_equal(mask, truth) or not name.startswith("skullnb")


def test_growth_has_a_row_for_each_side_and_way(images):
    found = bench.growth(images[:1], 1, (48, 96))
    assert found.side.tolist() == [48] * 4 + [96] * 4
    assert (found.ms > 0).all()


def test_noise_makes_more_than_twenty_thousand_components():
    (image,) = bench.noisy(published_stack().images[:1])
    assert pipeline.measure_slice(image).n_components > 20_000
    assert image.dtype == np.float32


def test_the_batch_script_writes_every_mask_in_its_place(images, tmp_path):
    stack = np.stack([np.roll(images[1], 2 * number, axis=0) for number in range(5)])
    np.save(tmp_path / "images.npy", stack)
    bench.batch_script(tmp_path / "images.npy", tmp_path / "masks.npy", 3, processes=2)
    expected = [article.skull_mask(image, 3) for image in stack]
    np.testing.assert_array_equal(np.load(tmp_path / "masks.npy"), expected)
    assert all(one.any() for one in expected)


def test_batches_tell_the_start_apart_and_compare_as_many_workers(images):
    found = bench.batches(images, 1, 15).set_index("way")
    assert list(found.index.unique()) == [bench.SCRIPT, *bench.BATCHES]
    assert found.faster[bench.SCRIPT].tolist() == [1.0, 1.0]
    assert (found.start_s > 0).all()
    assert found.notna().all(axis=None)


def test_the_recorded_run_is_a_full_one_and_names_its_machine_not_its_owner():
    run = timing.recorded()
    table = run["tables"]["published"].set_index("way")
    assert set(table.index) == set(bench.CONTESTANTS)
    ours = table.index.str.startswith("skullnb")
    assert (table.loc[ours, "differing_px"] == 0).all()
    # A quick run, of one round, would pass for a full one on the page.
    assert (table.ms_low < table.ms_high).all()
    assert set(run["tables"]["batches"].workers) == {1, 2}
    assert {"numpy", "opencv-python-headless", "numba"} <= set(run["versions"])
    assert set(run["machine"]) == {"processor", "cores", "system"}
    assert "/" not in json.dumps({**run["machine"], "processor": ""})


def test_a_run_measures_all_that_the_chapter_shows(monkeypatch, capsys):
    for part in ("compare", "growth", "batches"):
        monkeypatch.setattr(
            bench, part, lambda *_, **__: pd.DataFrame({"way": ["a"], "ms": 1.23456})
        )
    found, kept = bench.measure(), timing.recorded()
    assert set(found) == set(kept)
    assert set(found["tables"]) == set(kept["tables"])
    assert found["tables"]["noise"] == [{"way": "a", "ms": 1.2346}]
    assert "\nnoise\n" in capsys.readouterr().out
