import re
from functools import cache

import numpy as np
import pandas as pd
import pytest
from real_data import real_data

from skullnb import evidence, heads, reach
from skullnb.errors import InvalidSetting
from skullnb.phantom import variant
from skullnb.pipeline import signs, trace_skull_mask
from skullnb.stack import Stack
from skullnb.study import real_heads as study

variant = cache(variant)


@pytest.fixture(scope="module")
def some_heads():
    """Synthetic heads in the place of real ones, with coarse pixels to be quick."""
    found = {}
    for name, kind in (("a", "narrow-gap"), ("b", "wide-gap"), ("c", "thick-soft-tissue")):
        stack = variant(kind)
        found[name] = Stack(
            images=stack.images[:2, ::4, ::4],
            reference=stack.reference[:2, ::4, ::4],
            spacing_mm=tuple(4 * side for side in stack.spacing_mm),
            groups=(name,) * 2,
            name=name,
        )
    return found


@pytest.fixture(scope="module")
def measured(some_heads):
    return study.measure([*some_heads.values()])


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("narrow-gap", "brain"),
        ("thick-soft-tissue", "scalp ring"),
        ("bridge", "merged"),
        ("hemispheres-apart", "one part"),
        ("brain-touches-frame", "lost"),
    ],
)
def test_what_was_chosen_is_told_from_the_reference_mask(name, chosen):
    head = variant(name)
    for image, reference in zip(head.images[::2], head.reference[::2], strict=True):
        assert study.what_was_chosen(trace_skull_mask(image), reference) == chosen
    assert study.what_was_chosen(trace_skull_mask(0 * image), reference) == "lost"


def test_a_cut_takes_so_many_mm_off_the_bright_tissue():
    image = np.zeros((40, 60))
    image[10:30, 15:45] = 1
    image[3, 3] = 1  # a speck in the air is no head
    cut = study.cut_into_head
    assert cut(image, 2.0, (0.5, 1.0), (0, 1)) == (slice(14, 26), slice(17, 43))
    assert cut(image, 2.0, (0.5, 1.0), (1,)) == (slice(0, 40), slice(17, 43))
    with pytest.raises(InvalidSetting, match="leaves nothing"):
        cut(image, 15.0, (1.0, 1.0), (1,))


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("narrow-gap", "did not fire"),
        ("scalp-cut-two-sides", "changes nothing"),
        ("thick-soft-tissue-cut", "helps"),
        ("brain-touches-frame", "loses the brain"),
    ],
)
def test_the_edge_rules_outcome_gets_its_name(name, outcome):
    head = variant(name)
    found = study.edge_outcome(trace_skull_mask(head.images[0]), head.reference[0])
    assert found["outcome"] == outcome
    assert (found["iou"] - found["iou_off"] > evidence.NOTABLE_IOU) == (outcome == "helps")


def test_the_whole_check_runs_on_any_heads_and_counts_every_slice_once(measured):
    slices, scores, crops = (measured[name] for name in ("slices", "scores", "crops"))
    assert slices.chosen.tolist() == ["brain"] * 4 + ["scalp ring"] * 2
    assert slices.signs.str.contains("scalp ring").tolist() == [False] * 4 + [True] * 2
    assert scores.groupby("method").size().to_dict() == dict.fromkeys(study.METHODS, 6)
    assert len(crops) == 6 * len(study.CUTS) * len(study.DEPTHS_MM)
    assert set(crops.outcome) <= {"changes nothing", "helps", "hurts", "loses the brain"}
    assert (crops.n_edge_touching > 0).all()
    at_26 = scores[scores.method == study.ARTICLE_PX].iou
    assert at_26.tolist() == measured["widths"]["26"].tolist()
    assert measured["rules"].n_slices.tolist() == [6] * 6


def test_the_setting_for_a_head_is_the_other_heads_best(measured):
    curves = measured["curves"]
    wide = curves[curves.method == study.ARTICLE_MM].set_index(["head", "setting"]).iou.unstack()
    chosen = study.chosen_on_others(curves, study.ARTICLE_MM).set_index("head")
    assert chosen.setting["a"] > chosen.setting["b"]  # whose own best is the other way round
    for head, row in chosen.iterrows():
        assert row.setting == wide.drop(index=head).mean().idxmax()
        assert row.iou == wide.loc[head, row.setting]
        scores = measured["scores"].query("method == @study.ARTICLE_MM and head == @head")
        assert scores.iou.mean() == pytest.approx(row.iou)
        assert set(scores.setting) == {row.setting}


def test_every_head_counts_once_in_the_mean():
    rows = [("m", "a", 0.8), ("m", "a", 0.8), ("m", "a", 0.95), ("m", "b", 1.0)]
    scores = pd.DataFrame(rows, columns=["method", "head", "iou"])
    found = study.summary(scores.assign(dice=0.0, assd=0.0, hd95=0.0, nsd=0.0))
    assert found.loc[("m", "mean"), "iou"] == pytest.approx((0.85 + 1) / 2)
    assert found.loc[("m", "a"), ["worst", "n_poor"]].tolist() == [0.8, 2]


def test_hits_and_false_alarms_are_counted_apart():
    shown = pd.Series([signs.PART, signs.MERGED, "", f"{signs.MERGED};{signs.AREA_JUMP}"])
    rates = study.sign_rates(shown, pd.Series([False, True, True, False])).set_index("sign")
    assert rates.loc[signs.MERGED].tolist() == [1, 2, 1, 2]
    assert rates.loc[signs.PART].tolist() == [0, 2, 1, 2]
    assert rates.loc[signs.AREA_JUMP].tolist() == [0, 2, 1, 2]
    assert rates.loc["any of these"].tolist() == [1, 2, 2, 2]


# --- what is stored -----------------------------------------------------------------------------


def test_stored_tables_are_of_the_registered_heads_and_all_their_slices():
    expected = {name: head.n_slices for name, head in heads.HEADS.items()}
    assert study.table("slices")["stack"].value_counts().to_dict() == expected
    for _, rows in study.table("scores").groupby("method"):
        assert rows["stack"].value_counts().to_dict() == expected
    assert len(study.table("crops")) == 4 * sum(expected.values())
    assert study.table("widths")["stack"].value_counts().to_dict() == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", study.about()["date"])
    assert {"python", "numpy", "opencv-python-headless"} <= set(study.about()["versions"])


def test_the_reaches_that_the_package_advises_are_those_that_the_heads_chose():
    curves = study.table("curves")
    chosen = study.chosen_on_others(curves, study.ARTICLE_MM).setting
    assert (chosen.min(), chosen.max()) == reach.CHOSEN_REACHES_MM
    assert chosen.max() == signs.LARGEST_CHOSEN_REACH_MM
    of_all = curves[curves.method == study.ARTICLE_MM].groupby("setting").iou.mean()
    assert of_all.idxmax() == signs.USUAL_REACH_MM
    limits = [side * (1 + share) for side, share in zip((7, 8), (-0.25, 0.25), strict=True)]
    costs = of_all.max() - of_all[of_all.index.to_series().between(*limits)]
    assert costs.max() < 0.03  # what the remark's tolerance forgives


def test_no_grey_value_of_a_head_is_stored_only_outlines_and_small_components():
    drawn = study.pictures()
    for i in range(len(study.FAILURES)):
        parts, mask = drawn.pop(f"parts_{i}"), drawn.pop(f"mask_{i}")
        assert set(np.unique(parts)) <= {0, 1, 2}
        assert set(np.unique(mask)) <= {0, 1}
        assert parts.shape == mask.shape
        assert len(parts) == study.PICTURE_PX
    whole = drawn.pop("whole_bright"), drawn.pop("whole_masks")
    assert whole[0].shape == whole[1].shape == (len(study.WHOLE_PICTURED), 128, 128)
    assert all(set(np.unique(one)) == {0, 1} for one in whole)
    kinds = ("reference", *study.METHODS)
    assert set(drawn) == {f"{name}/{kind}" for name in heads.HEADS for kind in kinds}
    assert all(line.ndim == 2 and line.shape[1] == 2 for line in drawn.values())


def test_where_heads_are_missing_the_page_says_which_and_how_to_get_them(monkeypatch):
    monkeypatch.setattr(heads, "is_here", lambda name: name != study.PICTURED)
    said = study.recheck()
    assert said.startswith(f"**Not measured here.** {study.PICTURED} missing, so")
    assert "skullnb heads fetch" in said


def test_measured_again_is_the_same_or_says_what_differs(monkeypatch, tmp_path, some_heads):
    monkeypatch.setattr(study, "FOLDER", tmp_path)
    monkeypatch.setattr(study, "PICTURED", "c")
    monkeypatch.setattr(study, "LABELLED", "a")
    monkeypatch.setattr(heads, "load_whole", some_heads.__getitem__)
    monkeypatch.setattr(study, "FAILURES", {"ring": 1})
    monkeypatch.setattr(study, "_signs_of_whole", lambda whole: [""] * len(whole))
    monkeypatch.setattr(study, "_whole_pictures", lambda volume: {})
    monkeypatch.setattr(study, "UNSCORED", {"above": range(2)})
    monkeypatch.setattr(study, "read_stack", lambda path, axis: some_heads["c"])
    monkeypatch.setattr(heads, "HEADS", dict.fromkeys(some_heads))
    monkeypatch.setattr(heads, "load", some_heads.__getitem__)
    monkeypatch.setattr(heads, "fetch", lambda name: (name,))
    monkeypatch.setattr(heads, "is_here", lambda name: True)
    monkeypatch.setattr(study, "BORDERS", {"dark growth": study.BORDERS["dark growth"]})
    study.record()
    assert study.table("border_scores").method.unique().tolist() == ["dark growth"]
    assert len(study.table("top_to_bottom")) == 3 * len(some_heads["a"])
    assert study.recheck().startswith("**Measured here again:** all ")
    assert study.pictures()["parts_0"].max() == 2
    assert study.table("unscored").columns.tolist() == ["region", "slice", "signs"]
    scores = study.table("scores")
    scores.assign(iou=scores.iou + 1e-5).to_csv(tmp_path / "scores.csv", index=False)
    assert "not the same:** scores differ" in study.recheck()


@pytest.mark.slow
def test_the_stored_numbers_and_pictures_are_what_the_heads_give(monkeypatch):
    monkeypatch.setenv(heads.FOLDER_VARIABLE, str(real_data()))
    assert study.recheck().startswith("**Measured here again:** all ")
