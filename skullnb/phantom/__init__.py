"""Synthetic heads with an exact reference mask. Nothing here comes from a scan.

`published_stack` stands in for the article's five slices, *calibrated to* the published figures:
one head *can* have all of them, which is no evidence for the article or the pipeline. `subject`
draws any number of other heads, `variant` heads that break one assumption each (see `VARIANTS`).
"""

from skullnb.phantom.stacks import VARIANTS, published_stack, subject, variant
