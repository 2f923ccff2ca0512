"""The article's operations; `test_fast.py` holds ours against them, and so them against ours."""

import numpy as np

from skullnb.study import article


def test_whole_numbers_wrap_around_as_they_do_for_its_author():
    wide = np.array([[-32768, 0], [16000, 32767]], dtype=np.int16)
    with np.errstate(all="ignore"):
        assert article.normalise(wide).tolist() != [[0, 127], [189, 255]]


def test_the_batch_script_writes_every_mask_in_its_place(tmp_path):
    images = np.zeros((5, 40, 60), np.float32)
    for number, image in enumerate(images):
        image[5 + 4 * number : 12 + 4 * number, 30:36] = 1
    np.save(tmp_path / "images.npy", images)
    article.batch_script(tmp_path / "images.npy", tmp_path / "masks.npy", 3, processes=2)
    expected = [article.skull_mask(image, 3) for image in images]
    np.testing.assert_array_equal(np.load(tmp_path / "masks.npy"), expected)
