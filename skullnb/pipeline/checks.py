"""Old place of the input checks, until its last callers are gone."""

from skullnb.pipeline.settings import (  # noqa: F401
    as_array,
    as_pixels,
    as_slice,
    as_stack,
    refuse_not_finite,
)
