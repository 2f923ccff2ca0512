import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skullnb.errors import InvalidSetting
from skullnb.text import escape, fill


def test_a_number_that_was_not_recorded_cannot_be_said():
    with pytest.raises(InvalidSetting, match="under 'dice'"):
        fill("{dice}", {"iou": 1})
    with pytest.raises(InvalidSetting, match="under 0"):
        fill("{}", {"iou": 1})


@given(st.text())
def test_nothing_of_an_escaped_text_is_markup(text):
    safe = escape(text)
    assert not set(safe) & set("<>\"'`*_{}[]()|~$\n")
    assert fill("{name}", {"name": text}) == safe


def test_an_escaped_text_reads_as_it_was():
    name = "<script>alert('x')</script> & sub_01 [a](b).nii"
    assert html.unescape(escape(name)) == name
