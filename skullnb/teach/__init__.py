"""Checks of the chapters' exercises: each says what is wrong with an answer, never the answer."""

from skullnb.teach.answers import ONE_NUMBER, asks_for_a_number, same, single_number
from skullnb.teach.part_pipeline import (
    check_components,
    check_data,
    check_dilation,
    check_holes,
    check_metrics,
    check_normalise,
    check_threshold,
)
from skullnb.teach.part_using import check_workers
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

__all__ = [
    "ONE_NUMBER",
    "UNANSWERED",
    "Verdict",
    "asks_for_a_number",
    "check_components",
    "check_data",
    "check_dilation",
    "check_holes",
    "check_metrics",
    "check_normalise",
    "check_threshold",
    "check_workers",
    "is_missing",
    "right",
    "same",
    "single_number",
    "wrong",
]
