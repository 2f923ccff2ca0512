"""The article's pipeline, one function a step; the same, seen; and the same, fast.

normalise -> Otsu threshold -> connected components -> largest inner component -> one dilation
-> fill holes. `create_skull_mask` gives only the mask, `measure_slice` the mask and its row in a
table; `trace_skull_mask` keeps every intermediate array and says what each rule did.
"""

from skullnb.pipeline.measure import (
    SliceMeasure,
    create_skull_mask,
    create_skull_masks,
    load,
    masks_by_width,
    measure_slice,
    measure_stack,
)
from skullnb.pipeline.settings import MAX_KERNEL_WIDTH, PipelineSettings
from skullnb.pipeline.signs import SIGNS, SliceFacts
from skullnb.pipeline.steps import (
    Mask,
    binarise,
    choose_brain,
    component_mask,
    dilate,
    fill_holes,
    label_components,
    normalise,
    otsu_threshold,
    structuring_element,
)
from skullnb.pipeline.trace import RULES, RuleRecord, SkullMaskTrace, trace_skull_mask
