"""Synthetic heads with an exact reference mask. Nothing here comes from a scan.

`published_stack` stands in for the article's five slices, which are not public. It is *calibrated
to* the published figures: that shows that one head *can* have all of them at once. It is no
evidence that the article is right, nor that the pipeline works on people. `subject` draws any
number of other heads, `variant` heads that break one assumption each (`VARIANTS` lists them).
"""

from skullnb.phantom.stacks import VARIANTS, published_stack, subject, variant
