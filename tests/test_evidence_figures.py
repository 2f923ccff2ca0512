import numpy as np
import pytest

from skullnb.evidence import build_ledger, combine
from skullnb.figures import evidence, evidence_tables
from skullnb.pipeline import RULES
from skullnb.stack import Stack


def ledger_of(n=3, reference=True, **options):
    """Slices that fire all but the flat-image guard and the filling."""
    images = np.zeros((n, 60, 60))
    images[:, 20:40, 20:40] = images[:, 2, 2] = 1.0
    images[:, 0, 30] = 1.0
    mask = np.zeros((n, 60, 60), dtype=np.uint8)
    mask[:, 12:48, 12:48] = 1
    stack = Stack(images, mask if reference else None, **options)
    return stack, build_ledger(stack)


def heights(figure):
    """Tallest bar of each rule and slice, by the middle of the bar."""
    found = {}
    for bar in figure.axes[0].patches:
        middle = (round(bar.get_y() + bar.get_height() / 2), round(bar.get_x() + 0.43))
        found[middle] = bar.get_height()
    return found


def test_a_bars_height_says_what_the_rule_did_on_the_slice():
    _, ledger = ledger_of()
    found = heights(evidence.rules_by_slices(ledger))
    assert len(found) == 3 * len(RULES)
    for (rule, number), height in found.items():
        if ledger.changed[number, rule]:
            assert height > 0.5
        elif ledger.fired[number, rule]:
            assert 0.1 < height < 0.5
        else:
            assert height < 0.1
    assert {height > 0.5 for height in found.values()} == {True, False}


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_numbers_in_the_bars_are_what_the_score_loses_or_else_pixels():
    _, scored = ledger_of()
    lost = scored.iou_off[0, RULES.index("dilate")] - scored.iou[0]
    assert f"{lost:+.3f}".replace("-", "−") in texts(evidence.rules_by_slices(scored))
    _, bare = ledger_of(reference=False)
    pixels = bare.changed_px[0, RULES.index("dilate")]
    assert f"{pixels:,d} px" in texts(evidence.rules_by_slices(bare))


def test_many_slices_carry_few_labels_and_no_numbers():
    _, ledger = ledger_of(40)
    figure = evidence.rules_by_slices(ledger)
    assert len(figure.axes[0].get_xticks()) <= 12
    assert texts(figure) == [""]


def test_drawn_slices_are_marked_as_synthetic_and_the_title_counts_the_rules():
    _, real = ledger_of(name="scan")
    _, drawn = ledger_of(2, name="drawing", synthetic=True)
    figure = evidence.rules_by_slices(combine([real, drawn]))
    assert "drawing (synthetic)" in texts(figure)
    assert "scan" in texts(figure)
    exercised = sum(one.status == "exercised" for one in real.summary())
    assert figure.get_suptitle() == f"The slices exercised {exercised} of 6 rules"
    assert evidence.rules_by_slices(drawn).get_suptitle().startswith("The synthetic slices")


@pytest.mark.parametrize("reference", [True, False])
def test_masks_with_and_without_a_rule_are_shown_for_every_stack(reference):
    stack, _ = ledger_of(reference=reference, name="scan")
    figure = evidence.with_and_without([stack, stack], "dilate")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(titles) == 4
    assert all(("IoU" in title) == reference for title in titles)
    assert figure.png().startswith(b"\x89PNG")


def cells(table):
    lines = [line for line in table.data.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_show_what_the_ledger_holds():
    _, ledger = ledger_of()
    dilate = ledger.evidence("dilate")
    row = cells(evidence_tables.rules_table(ledger))[2 + RULES.index("dilate")]
    assert row == [
        "dilate",
        "exercised",
        "3 of 3",
        f"{dilate.stage_px:,d}",
        "3 of 3",
        f"{dilate.changed_px:,d}",
    ]
    row = cells(evidence_tables.scores_table(ledger))[2 + RULES.index("dilate")]
    assert row[1:3] == [f"{dilate.iou:.4f}", f"{dilate.iou_off:.4f}"]
    row = cells(evidence_tables.slices_table(ledger))[2]
    assert row[0] == "0"
    assert row[1] == "–"
    assert row[1 + RULES.index("dilate")] == f"{ledger.changed_px[0, 4]:,d}"
    row = cells(evidence_tables.one_rule_table([ledger], "dilate"))[2]
    assert row[1:3] == ["3 of 3", "3 of 3"]
    assert len(cells(evidence_tables.definitions_table())) == 2 + len(RULES)


def test_a_long_table_of_slices_says_how_many_it_leaves_out():
    _, ledger = ledger_of(43)
    assert "3 further slices are in the results file" in evidence_tables.slices_table(ledger).data


def test_names_from_outside_cannot_break_a_table():
    _, ledger = ledger_of(name="a|b <x>", groups="c|d,c|d,e")
    both = combine([ledger, ledger])
    for table in (
        evidence_tables.volumes_table(ledger),
        evidence_tables.one_rule_table([ledger], "dilate"),
        evidence_tables.statuses_table({"a|b": ledger, "two": both}),
    ):
        widths = {len(row) for row in cells(table)}
        assert len(widths) == 1
        assert "<x>" not in table.data
