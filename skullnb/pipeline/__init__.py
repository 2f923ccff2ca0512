"""The article's pipeline, one function a step, and the trace that shows every step.

normalise -> Otsu threshold -> connected components -> largest inner component -> one dilation
-> fill holes. `create_skull_mask` gives only the mask; `trace_skull_mask` keeps every
intermediate array, says what each rule did, and warns when a mask looks wrong.

"A Classical Skull-Mask Baseline, and What 5 MRI Slices Did Not Prove" describes the method; the
numbers it reports are in `skullnb.published`.
"""

from skullnb.pipeline.masks import (
    create_skull_mask,
    create_skull_masks,
    masks_by_width,
    use_tier,
    warm_up,
)
from skullnb.pipeline.settings import MAX_KERNEL_WIDTH, PipelineSettings
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

__all__ = [
    "MAX_KERNEL_WIDTH",
    "RULES",
    "Mask",
    "PipelineSettings",
    "RuleRecord",
    "SkullMaskTrace",
    "binarise",
    "choose_brain",
    "component_mask",
    "create_skull_mask",
    "create_skull_masks",
    "dilate",
    "fill_holes",
    "label_components",
    "masks_by_width",
    "normalise",
    "otsu_threshold",
    "structuring_element",
    "trace_skull_mask",
    "use_tier",
    "warm_up",
]
