"""The article's operations; `test_fast.py` holds ours against them, and so them against ours."""

import numpy as np

from skullnb.study import article


def test_whole_numbers_wrap_around_as_they_do_for_its_author():
    wide = np.array([[-32768, 0], [16000, 32767]], dtype=np.int16)
    with np.errstate(all="ignore"):
        assert article.normalise(wide).tolist() != [[0, 127], [189, 255]]
