from string import Formatter

import numpy as np
import pytest

from skullnb import validation as check
from skullnb.chapter import fill
from skullnb.figures import validation, validation_numbers, validation_remarks, validation_tables
from skullnb.results import Results

FIELDS = ("n", "bootstrap", "t", "bootstrap_skewed", "t_skewed")


def volumes(spacing=None, n_each=2):
    best = np.repeat([22, 26, 30], n_each)
    widths = np.arange(16, 37, 2)
    groups = tuple(np.repeat(["anna", "<b>", "ben"], n_each))
    scores = 0.98 - 3e-4 * (widths - best[:, np.newaxis]) ** 2
    if spacing is not None:
        spacing = np.repeat(spacing, n_each)
    return check.ScoreMatrix(scores, widths, groups, spacing)


KINDS = {
    "pixels of several sizes": volumes((0.4, 0.45, 0.5)),
    "pixels of one size": volumes((0.4, 0.4, 0.4)),
    "pixels of unknown size": volumes(),
    "one slice a volume": volumes(n_each=1),
    "volumes that agree": check.ScoreMatrix([[0.8, 0.9]] * 4, [24, 26], tuple("aabb")),
    "one width": check.ScoreMatrix([[0.8]] * 4, [26], tuple("aabb")),
}


@pytest.mark.parametrize("matrix", KINDS.values(), ids=KINDS)
def test_every_figure_and_table_can_be_drawn(matrix):
    outcomes, alone = check.compare_splits(matrix), check.tune_on_each_volume(matrix)
    curve, control = check.tuning_curve(matrix), check.negative_control(matrix, 20)
    for figure in (
        validation.volume_curves(matrix),
        validation.one_volume_dots(alone),
        validation.fold_kernels(matrix, outcomes),
        validation.optimism_curve(curve),
        validation.control_figure(control, 0.9),
    ):
        assert figure.png().startswith(b"\x89PNG")
        assert figure.get_suptitle()
    for table in (
        validation_tables.one_volume_table(alone, matrix),
        validation_tables.split_table(outcomes),
        validation_tables.fold_table(outcomes),
        validation_tables.refusal_table(matrix),
        validation_tables.curve_table(curve),
        validation_tables.control_table(control, 0.9),
    ):
        assert len({line.count("|") for line in table.data.splitlines()}) == 1
        assert "<b>" not in table.data
        assert "-0.0000" not in table.data


@pytest.mark.parametrize("matrix", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("is_cohort", [False, True])
def test_every_sentence_finds_its_numbers(matrix, is_cohort):
    outcomes, alone = check.compare_splits(matrix), check.tune_on_each_volume(matrix)
    control = check.negative_control(matrix, 20)
    source = check.Source(matrix, is_cohort, "all slices are of one head" if is_cohort else "")
    results = Results("test")
    results.record(
        **validation_numbers.source_numbers(source),
        **validation_numbers.one_volume_numbers(alone),
        **validation_numbers.split_numbers(outcomes),
        **validation_numbers.dependence_numbers(matrix),
        control_by_slice=control.by_slice.mean(),
        control_by_volume=control.by_volume.mean(),
        control_worth=control.worth,
        coverage_shared=0.25,
    )
    values = results.values
    for text in (
        validation_remarks.source_sentence(source),
        validation_remarks.one_volume_sentence(values["one_slice_out_saw"]),
        validation_remarks.split_sentence(values),
        validation_remarks.control_sentence(control, values["nested"]),
        validation_remarks.dependence_sentence(values["correlation"]),
    ):
        fields = [name for _, name, _, _ in Formatter().parse(text) if name]
        # A cohort knows the size of its pixels; the matrices here that do not are no cohorts.
        unknown = {"spacing_min", "spacing_max"} if matrix.spacing_mm is None else set()
        assert all(values[name] is not None for name in set(fields) - unknown)
        assert "{" not in fill(text, values)


def test_kernels_in_mm_have_a_panel_rows_and_numbers_of_their_own():
    matrix = KINDS["pixels of several sizes"]
    outcomes = check.compare_splits(matrix)
    assert len(validation.fold_kernels(matrix, outcomes).axes) == 2
    assert validation_tables.split_table(outcomes).data.count("| mm |") == 3
    numbers = validation_numbers.split_numbers(outcomes)
    assert numbers["n_mm_better"] + numbers["n_mm_worse"] <= 3
    assert numbers["sign_p"] == check.sign_test(numbers["n_mm_better"], numbers["n_mm_worse"])
    assert "these volumes do not tell" in validation_remarks.split_sentence(numbers)
    clear = validation_remarks.split_sentence({**numbers, "sign_p": 0.01})
    assert "more than chance" in clear

    same = KINDS["pixels of one size"]
    outcomes = check.compare_splits(same)
    assert len(validation.fold_kernels(same, outcomes).axes) == 1
    assert validation_numbers.split_numbers(outcomes)["nested_mm"] is None


def test_the_control_says_which_split_noticed():
    fooled = check.Control(np.full(9, 0.9), np.linspace(0.4, 0.6, 9), 0.5)
    text = validation_remarks.control_sentence(fooled, 0.7)
    assert "by slice is fooled" in text
    assert "by volume is not" in text
    assert "prefer this selector" in text
    assert "prefer this selector" not in validation_remarks.control_sentence(fooled, 0.95)
    wrong = check.Control(np.full(9, 0.9), np.full(9, 0.7), 0.5)
    assert "not that worth either" in validation_remarks.control_sentence(wrong, 0.7)
    silent = check.Control(np.full(9, 0.5), np.full(9, 0.5), 0.5)
    assert "silent" in validation_remarks.control_sentence(silent, 0.7)


def test_the_headline_says_whether_volumes_agree():
    assert "18" not in validation.volume_curves(volumes()).get_suptitle()
    assert validation.volume_curves(volumes()).get_suptitle().endswith("22 to 30 px")
    agree = validation.volume_curves(KINDS["volumes that agree"])
    assert agree.get_suptitle() == "The best kernel is the same on all volumes: 26 px"


def test_the_part_of_the_loss_that_slices_saw_is_a_part_of_the_loss():
    rows = np.array(
        [("a", 26, 0.98, 0.979, 0.96), ("b", 24, 0.98, 0.979, 0.96)],
        dtype=[
            ("volume", "U1"),
            *((name, float) for name in ("width", "apparent", "slice_out", "elsewhere")),
        ],
    )
    numbers = validation_numbers.one_volume_numbers(rows)
    assert numbers["one_optimism"] == pytest.approx(0.02)
    assert numbers["one_slice_out_saw"] == pytest.approx(0.05)
    assert "noticed **5.0%**" in fill(validation_remarks.one_volume_sentence(0.05), numbers)


def test_tables_hold_what_was_computed():
    matrix = volumes()
    outcomes = check.compare_splits(matrix)
    last = validation_tables.split_table(outcomes).data.splitlines()[-1]
    assert f"{outcomes[-1].score:.4f} | {outcomes[0].score - outcomes[-1].score:.4f}" in last
    folds = validation_tables.fold_table(outcomes).data.splitlines()[2:]
    assert [row.split(" | ")[1] for row in folds] == [f"{w:g}" for w in outcomes[-1].widths]
    refusals = validation_tables.refusal_table(matrix).data
    assert "give groups, one label a slice" in refusals
    assert "slices of at least two volumes" in refusals
    assert validation_tables.small_table([6, 5, 5]).data.splitlines()[2:] == [
        "| 5 | 93.75% | 45.1% | 60.0% | 0.0625 |",
        "| 6 | 96.88% | 39.3% | 50.0% | 0.0312 |",
    ]


def test_the_coverage_headline_is_about_five():
    rows = [(3, 0.7, 0.95, 0.6, 0.8), (5, 0.83, 0.95, 0.78, 0.88)]
    table = np.array(rows, dtype=[("n", int), *((name, float) for name in FIELDS[1:])])
    title = validation.coverage_curve(table).get_suptitle().replace("\n", " ")
    assert title == "From 5 values, a 95% bootstrap interval covers 83%, or 78% if skewed"
    assert validation_tables.coverage_rows(table).data.splitlines()[3].startswith("| 5 | 83% |")


def test_where_a_volume_has_one_slice_nothing_is_said_of_what_slices_saw():
    scores = [[0.9, 0.8], [0.9, 0.8], [0.5, 0.7]]
    matrix = check.ScoreMatrix(scores, [24, 26], ("a", "a", "b"))
    numbers = validation_numbers.one_volume_numbers(check.tune_on_each_volume(matrix))
    assert numbers["one_slice_out"] is numbers["one_slice_out_saw"] is None
