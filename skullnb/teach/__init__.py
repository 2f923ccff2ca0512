"""Checks of the chapters' exercises: each says what is wrong with an answer, never the answer."""

from skullnb.teach.part_evidence import (
    check_evidence,
    check_journey,
    check_reach,
    check_real_heads,
    check_validation,
    tightest_box,
)
from skullnb.teach.part_using import check_your_data
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

__all__ = [
    "UNANSWERED",
    "Verdict",
    "check_evidence",
    "check_journey",
    "check_reach",
    "check_real_heads",
    "check_validation",
    "check_your_data",
    "is_missing",
    "right",
    "tightest_box",
    "wrong",
]
