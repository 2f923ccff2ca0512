import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skullnb.errors import InvalidSetting
from skullnb.text import escape, fill

MARKUP = "&<>\"'\\`*_{}[]()#!|~$"


def test_a_number_that_was_not_recorded_cannot_be_said():
    with pytest.raises(InvalidSetting, match="under 'dice'"):
        fill("{dice}", {"iou": 1})
    with pytest.raises(InvalidSetting, match="under 0"):
        fill("{}", {"iou": 1})


@given(st.text())
@example(f"{MARKUP} &lt;")
def test_nothing_of_an_escaped_text_is_markup_and_it_reads_as_it_was(text):
    safe = escape(text)
    assert not set(re.sub(r"&#\d+;", "", safe)) & set(MARKUP + "\n")
    assert html.unescape(safe) == " ".join(text.split())
    assert fill("{name}", {"name": text}) == safe
