"""Checks of the chapters' exercises: each says what is wrong with an answer, never the answer."""

from skullnb.teach.answers import ONE_NUMBER, same, single_number
from skullnb.teach.part_pipeline import check_threshold
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

__all__ = [
    "ONE_NUMBER",
    "UNANSWERED",
    "Verdict",
    "check_threshold",
    "is_missing",
    "right",
    "same",
    "single_number",
    "wrong",
]
