"""Choosing the kernel honestly, and saying what a handful of slices can say.

- `scores`: every slice at every candidate kernel, from a sweep: `ScoreMatrix`
- `splits`: the kernel chosen and tested on the same slices, on other slices, on other volumes
- `tuning`: what it costs to tune on few volumes
- `control`: a selector that has learned nothing, and which split notices
- `small`: exact statements for small n; `intervals`: what intervals cover
- `cohort`: synthetic subjects to do all this on; `source` decides whether they are needed

The unit that must be held out is the volume. Where volumes are unknown, or there is only one, a
split by volume is refused; slices are no substitute: whatever holds out a volume raises
InvalidSetting unless its `matrix` has groups, at least two.
"""

from skullnb.validation.cohort import CohortPlan, cohort_scores
from skullnb.validation.control import Control, negative_control
from skullnb.validation.intervals import coverage, coverage_table
from skullnb.validation.scores import ScoreMatrix, from_sweep, join
from skullnb.validation.small import (
    correlation,
    effective_number,
    range_covers_median,
    sign_test,
    smallest_sign_test_p,
    zero_failure_bound,
)
from skullnb.validation.source import Source, scores_to_validate
from skullnb.validation.splits import (
    Outcome,
    apparent,
    compare_splits,
    leave_one_slice_out,
    leave_one_volume_out,
)
from skullnb.validation.tuning import tune_on_each_volume, tuning_curve

__all__ = [
    "CohortPlan",
    "Control",
    "Outcome",
    "ScoreMatrix",
    "Source",
    "apparent",
    "cohort_scores",
    "compare_splits",
    "correlation",
    "coverage",
    "coverage_table",
    "effective_number",
    "from_sweep",
    "join",
    "leave_one_slice_out",
    "leave_one_volume_out",
    "negative_control",
    "range_covers_median",
    "scores_to_validate",
    "sign_test",
    "smallest_sign_test_p",
    "tune_on_each_volume",
    "tuning_curve",
    "zero_failure_bound",
]
