"""For developers, with pytest-benchmark: `make bench`. Not collected by `make test`.

`pytest tests/benchmarks.py --benchmark-autosave` keeps the times, `--benchmark-compare` sets those
of a change beside them.
"""

import cv2
import pytest

from skullnb.bench.contestants import here
from skullnb.bench.slices import noisy
from skullnb.phantom import published_stack
from skullnb.pipeline import masks_by_width, use_tier

OURS = here("numba", "numpy")


@pytest.fixture(autouse=True, params=OURS, ids=[one.name for one in OURS])
def tier(request):
    cv2.setNumThreads(1)
    request.param.warm()
    yield request.param
    use_tier("auto")


def test_a_slice(benchmark, tier):
    benchmark(tier.mask, published_stack().images[2], 26)


def test_a_slice_with_thousands_of_components(benchmark, tier):
    benchmark(tier.mask, noisy(1)[0], 26)


def test_a_sweep_of_fifteen_widths(benchmark):
    image = published_stack().images[2]
    benchmark(lambda: list(masks_by_width(image, range(12, 42, 2))))
