import json

import numpy as np
import pandas as pd
import pytest

from skullnb import pipeline
from skullnb.errors import SkullnbError, UnreadableFile
from skullnb.phantom import published_stack, subject
from skullnb.study import article, timing


@pytest.fixture(scope="module")
def images():
    stack = subject(3, levels=[20.0, 40.0], shape=(96, 78), spacing_mm=(3.0, 3.0))
    return list(stack.images)


@pytest.fixture(scope="module")
def published():
    return published_stack()


def test_every_way_takes_its_turn_in_every_round_and_the_first_is_not_counted():
    calls, ticks = [], iter(range(100))
    work = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = timing.take_turns(work, 2, clock=lambda: float(next(ticks)))
    assert calls == list("ababab")
    assert times.shape == (2, 2)
    assert (times == 1.0).all(axis=None)
    found = timing.quartiles(pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 5.0]}), 1000)
    assert found.loc["a"].to_dict() == {"ms": 3000.0, "ms_low": 2000.0, "ms_high": 4000.0}


def test_all_ways_are_held_against_the_articles_masks(images):
    found = timing.compare(images, 2, 9).set_index("way")
    assert set(found.index) == set(timing.contestants())
    assert (found.loc[[timing.ARTICLE, *timing.OURS], "differing_px"] == 0).all()
    assert found.loc[timing.ARTICLE, ["faster", "iou"]].tolist() == [1.0, 1.0]
    assert found.loc[timing.FLOOR, "floors"] == 1.0
    assert np.isnan(found.loc[timing.FLOOR, "iou"])
    assert (found.ms_low <= found.ms_high).all()


@pytest.mark.parametrize("name", [name for name in timing.contestants() if name != timing.FLOOR])
def test_every_way_finds_the_head_of_the_article(name, published):
    image = published.images[2]
    mask, truth = timing.CONTESTANTS[name](image, 26), article.skull_mask(image, 26)
    assert mask.dtype == np.uint8
    assert (mask & truth).sum() / (mask | truth).sum() > 0.98


def test_a_mask_of_ours_that_is_not_the_articles_stops_the_run(images, monkeypatch):
    broken = timing.CONTESTANTS | {timing.MASK: lambda image, width: np.zeros(image.shape, "u1")}
    monkeypatch.setattr(timing, "CONTESTANTS", broken)
    with pytest.raises(SkullnbError, match="mask alone is not the article's, and must be"):
        timing.compare(images, 1, 9)


def test_libraries_that_are_absent_are_left_out(monkeypatch):
    monkeypatch.setattr(timing, "find_spec", lambda name: None if name == "skimage" else name)
    assert timing.CONTESTANTS.keys() - timing.contestants() == {"scikit-image"}


def test_the_sweep_is_held_against_the_articles_masks(images, monkeypatch):
    found = timing.sweep(images[:1], 1, (5, 9)).set_index("way")
    assert found.loc[timing.ARTICLE, "faster"] == 1.0
    monkeypatch.setattr(pipeline, "masks_by_width", lambda image, widths: [image] * len(widths))
    with pytest.raises(SkullnbError, match="of the sweep is not the article's"):
        timing.sweep(images[:1], 1, (5, 9))


def test_growth_has_a_row_for_each_side_and_way(images):
    found = timing.growth(images[:1], 1, (48, 96))
    assert found.side.tolist() == [48] * 4 + [96] * 4
    assert (found.ms > 0).all()


def test_noise_makes_thousands_of_components(published):
    (image,) = timing.noisy(published.images[:1])
    assert 1000 < pipeline.measure_slice(image).n_components < 9000
    assert image.dtype == np.float32


def test_batches_write_the_same_masks_and_tell_rate_and_storage(images):
    found = timing.batches(np.stack(images), 3, 1, workers=(1,)).set_index("way")
    assert (found.rate > 0).all()
    assert found.faster["the author's script"] == 1.0
    assert found.bytes_a_slice["skullnb, .npy"] == pytest.approx(images[0].size, rel=0.02)
    packed = found.bytes_a_slice["skullnb, .packed.npy"]
    assert packed == pytest.approx(images[0].size / 8, rel=0.1)


def test_a_run_is_kept_with_four_digits_and_read_again(tmp_path, monkeypatch):
    table = pd.DataFrame({"way": ["a", "b"], "ms": 0.123456, "n": 12345, "iou": [np.nan, 1.0]})
    path = tmp_path / "timing.json"
    monkeypatch.setattr(timing, "RECORDED", path)
    timing.record({"date": "2026-01-01", "tables": {"published": table}})
    row, _ = timing.recorded()["tables"]["published"].to_dict("records")
    assert (row["way"], row["ms"], row["n"]) == ("a", 0.1235, 12345)
    assert np.isnan(row["iou"])
    path.write_text('{"tables": ')
    with pytest.raises(UnreadableFile, match="install skullnb again"):
        timing.recorded()


def test_the_recorded_run_is_a_full_one_and_names_its_machine_not_its_owner():
    run = timing.recorded()
    tables = run["tables"]
    assert set(tables) == {"published", "head", "noise", "sweep", "growth", "batches"}
    for name in ("published", "head", "noise"):
        table = tables[name].set_index("way")
        assert set(table.index) == set(timing.CONTESTANTS)
        assert (table.loc[[timing.ARTICLE, *timing.OURS], "differing_px"] == 0).all()
        # A quick run, of one round, would pass for a full one on the page.
        assert (table.ms_low < table.ms_high).all()
    assert set(tables["batches"].workers) == {1, 2}
    assert {"numpy", "opencv-python-headless", "numba"} <= set(run["versions"])
    assert set(run["machine"]) == {"processor", "cores", "system"}
    assert "/" not in json.dumps({**run["machine"], "processor": ""})


def test_a_run_measures_all_that_the_chapter_shows(monkeypatch, published, capsys):
    monkeypatch.setattr("skullnb.phantom.published_stack", lambda: published)
    for part in ("compare", "sweep", "growth", "batches"):
        monkeypatch.setattr(timing, part, lambda *_, **__: pd.DataFrame({"way": ["a"]}))
    found, kept = timing.measure(), timing.recorded()
    assert set(found) == set(kept)
    assert set(found["tables"]) == set(kept["tables"])
    printed = capsys.readouterr().out
    assert all(f"\n{name}\n" in printed for name in kept["tables"])
