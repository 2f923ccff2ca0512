"""Checks of the chapters' exercises: each says what is wrong with an answer, never the answer."""

from skullnb.teach.part_using import check_explore
from skullnb.teach.verdict import UNANSWERED, Verdict, is_missing, right, wrong

__all__ = ["UNANSWERED", "Verdict", "check_explore", "is_missing", "right", "wrong"]
