"""Checks of the chapters' exercises: each says what is wrong with an answer, never the answer."""

from skullnb.teach.part_using import check_workers
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

__all__ = ["UNANSWERED", "Verdict", "check_workers", "is_missing", "right", "wrong"]
