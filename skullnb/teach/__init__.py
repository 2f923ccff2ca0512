"""Checks of the chapters' exercises: each says what is wrong with an answer, never the answer."""

from skullnb.teach.answers import ONE_NUMBER, asks_for_a_number, same, single_number
from skullnb.teach.part_evidence import (
    check_evidence,
    check_journey,
    check_reach,
    check_real_heads,
    check_validation,
    tightest_box,
)
from skullnb.teach.part_pipeline import (
    check_components,
    check_data,
    check_dilation,
    check_holes,
    check_metrics,
    check_normalise,
    check_threshold,
)
from skullnb.teach.part_using import check_explore, check_workers, check_your_data
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

__all__ = [
    "ONE_NUMBER",
    "UNANSWERED",
    "Verdict",
    "asks_for_a_number",
    "check_components",
    "check_data",
    "check_dilation",
    "check_evidence",
    "check_explore",
    "check_holes",
    "check_journey",
    "check_metrics",
    "check_normalise",
    "check_reach",
    "check_real_heads",
    "check_threshold",
    "check_validation",
    "check_workers",
    "check_your_data",
    "is_missing",
    "right",
    "same",
    "single_number",
    "tightest_box",
    "wrong",
]
