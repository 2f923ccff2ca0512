import measure_heads
import numpy as np
import pandas as pd
import pytest
from golden_data import real_data

from skullnb import heads, reach
from skullnb.phantom import variant
from skullnb.pipeline import signs, trace_skull_mask
from skullnb.stack import Stack
from skullnb.study import real_heads as study


@pytest.fixture(scope="module")
def some_heads():
    """Synthetic heads in the place of real ones, with coarse pixels to be quick."""
    found = {}
    for name, kind in (("a", "narrow-gap"), ("b", "wide-gap"), ("c", "thick-soft-tissue")):
        stack = variant(kind)
        images, reference = stack.images[:2, ::4, ::4], stack.reference[:2, ::4, ::4]
        found[name] = Stack(images, reference, (1.5, 1.5), groups=(name,) * 2, name=name)
    return found


@pytest.mark.parametrize(
    ("name", "chosen", "outcome"),
    [
        ("bridge", "merged", "did not fire"),
        ("hemispheres-apart", "one part", "did not fire"),
        ("brain-touches-frame", "lost", "loses the brain"),
        ("scalp-cut-two-sides", "brain", "changes nothing"),
        ("thick-soft-tissue-cut", "brain", "helps"),
    ],
)
def test_what_was_chosen_and_what_the_edge_rule_did_is_told(name, chosen, outcome):
    head = variant(name)
    trace, reference = trace_skull_mask(head.images[0]), head.reference[0]
    assert study.what_was_chosen(trace, reference) == chosen
    assert study.edge_outcome(trace, reference)["outcome"] == outcome
    assert study.what_was_chosen(trace_skull_mask(np.zeros((9, 9))), np.ones((9, 9))) == "lost"


def test_a_cut_takes_so_many_mm_off_the_bright_tissue():
    image = np.zeros((40, 60))
    image[10:30, 15:45] = 1
    image[3, 3] = 1  # a speck in the air is no head
    cut = study.cut_into_head
    assert cut(image, 2.0, (0.5, 1.0), (0, 1)) == (slice(14, 26), slice(17, 43))
    assert cut(image, 2.0, (0.5, 1.0), (1,)) == (slice(0, 40), slice(17, 43))


def test_the_whole_check_runs_on_any_heads_and_each_gets_the_setting_of_the_others(some_heads):
    measured = study.measure([*some_heads.values()])
    slices, scores, crops = (measured[name] for name in ("slices", "scores", "crops"))
    assert slices.chosen.tolist() == ["brain"] * 4 + ["scalp ring"] * 2
    assert slices.signs.str.contains("scalp ring").tolist() == [False] * 4 + [True] * 2
    assert scores.groupby("method").size().to_dict() == dict.fromkeys(study.METHODS, 6)
    assert len(crops) == 6 * len(study.CUTS) * len(study.DEPTHS_MM)
    at_26 = scores[scores.method == study.ARTICLE_PX].iou
    assert at_26.tolist() == measured["widths"]["26"].tolist()
    assert measured["rules"].n_slices.tolist() == [6] * 6
    curves = measured["curves"]
    wide = curves[curves.method == study.ARTICLE_MM].set_index(["head", "setting"]).iou.unstack()
    for head, setting, iou in study.chosen_on_others(curves, study.ARTICLE_MM).to_numpy():
        assert setting == wide.drop(index=head).mean().idxmax()
        own = scores.query("method == @study.ARTICLE_MM and head == @head")
        assert (own.iou.mean(), set(own.setting)) == (pytest.approx(iou), {setting})


def test_every_head_counts_once_in_the_mean_and_hits_and_false_alarms_are_counted_apart():
    rows = [("m", "a", 0.8), ("m", "a", 0.8), ("m", "a", 0.95), ("m", "b", 1.0)]
    scores = pd.DataFrame(rows, columns=["method", "head", "iou"])
    found = study.summary(scores.assign(dice=0.0, assd=0.0, hd95=0.0, nsd=0.0))
    assert found.loc[("m", "mean"), "iou"] == pytest.approx((0.85 + 1) / 2)
    assert found.loc[("m", "a"), ["worst", "n_poor"]].tolist() == [0.8, 2]
    shown = pd.Series([signs.PART, signs.MERGED, "", f"{signs.MERGED};{signs.AREA_JUMP}"])
    rates = study.sign_rates(shown, pd.Series([False, True, True, False])).set_index("sign")
    assert rates.loc[signs.MERGED].tolist() == [1, 2, 1, 2]
    assert rates.loc["any of these"].tolist() == [1, 2, 2, 2]


def test_stored_tables_are_of_the_registered_heads_and_all_their_slices():
    expected = {name: head.n_slices for name, head in heads.HEADS.items()}
    for name in ("slices", "widths"):
        assert study.table(name)["stack"].value_counts().to_dict() == expected
    for _, rows in study.table("scores").groupby("method"):
        assert rows["stack"].value_counts().to_dict() == expected
    assert len(study.table("crops")) == 4 * sum(expected.values())


def test_the_reaches_that_the_package_advises_are_those_that_the_heads_chose():
    curves = study.table("curves")
    chosen = study.chosen_on_others(curves, study.ARTICLE_MM).setting
    assert (chosen.min(), chosen.max()) == reach.CHOSEN_REACHES_MM == (7, 8)
    assert chosen.max() == signs.LARGEST_CHOSEN_REACH_MM
    of_all = curves[curves.method == study.ARTICLE_MM].groupby("setting").iou.mean()
    assert of_all.idxmax() == signs.USUAL_REACH_MM
    forgiven = of_all[of_all.index.to_series().between(0.75 * 7, 1.25 * 8)]
    assert of_all.max() - forgiven.min() < 0.03


def test_no_grey_value_of_a_head_is_stored_only_outlines_and_small_components():
    drawn = study.pictures()
    masks = {name: drawn.pop(name) for name in [*drawn] if "/" not in name}
    assert all(set(np.unique(one)) <= {0, 1, 2} for one in masks.values())
    assert {one.shape[1:] for one in masks.values()} == {(128, 128)}
    assert len(masks["failed_parts"]) == len(masks["failed_masks"]) == len(study.FAILURES)
    assert len(masks["whole_bright"]) == len(masks["whole_masks"]) == len(study.WHOLE_PICTURED)
    kinds = ("reference", *study.METHODS)
    assert set(drawn) == {f"{name}/{kind}" for name in heads.HEADS for kind in kinds}
    assert all(line.ndim == 2 and line.shape[1] == 2 for line in drawn.values())


def test_measured_again_is_the_same_or_says_what_differs(monkeypatch, tmp_path, some_heads):
    monkeypatch.setattr(study, "FOLDER", tmp_path)
    own = {"PICTURED": "c", "LABELLED": "a", "UNSCORED": {"above": range(2)}}
    own |= {"BORDERS": {"dark growth": measure_heads.BORDERS["dark growth"]}}
    for name, value in (own | {"draw_pictures": lambda volume: {}}).items():
        monkeypatch.setattr(measure_heads, name, value)
    get = some_heads.__getitem__
    here = {"is_here": lambda name: True, "HEADS": dict.fromkeys(some_heads)}
    here |= {"load": get, "load_whole": get}
    for name, value in here.items():
        monkeypatch.setattr(heads, name, value)
    measure_heads.record()
    assert study.table("border_scores").method.unique().tolist() == ["dark growth"]
    assert len(study.table("top_to_bottom")) == 3 * len(some_heads["a"])
    assert study.recheck().startswith("**Measured here again:** all ")
    assert {"date", "versions"} == study.about().keys()
    assert list(study.table("unscored")) == ["region", "slice", "signs"]
    scores = study.table("scores")
    scores.assign(iou=scores.iou + 1e-5).to_csv(tmp_path / "scores.csv", index=False)
    assert "not the same:** scores differ" in study.recheck()
    monkeypatch.setattr(heads, "is_here", lambda name: name != "b")
    assert study.recheck().startswith("**Not measured here.** b missing, so the numbers are")


@pytest.mark.slow
def test_the_stored_numbers_and_pictures_are_what_the_heads_give(monkeypatch):
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(real_data()))
    assert study.recheck().startswith("**Measured here again:** all ")
