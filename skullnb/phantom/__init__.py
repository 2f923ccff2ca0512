"""Synthetic heads with an exact reference mask. Nothing here comes from a scan.

`published_stack` stands in for the article's five slices, which are not public. It is *calibrated
to* the published figures: its seed was picked and its parameters (gap between brain and skull, size
of the head, width of the sulci, thickness of the scalp, noise, brightness of a few vessels) were
tuned until the range, Otsu's threshold, the sweep and the scores agreed. That agreement shows that
one head *can* have all these figures at once. It is no evidence that the article is right, nor that
the pipeline works on people.

`subject` draws any number of other heads, `variant` heads that break one assumption each
(`VARIANTS` lists them). `skullnb.phantom.stacks.draw_stack` draws slices: outlines and pixels
(`shape`), fissures and sulci (`cortex`), intensities, scanner and calibration (`signal`).

Examples
--------
>>> from skullnb.phantom import published_stack
>>> stack = published_stack()
>>> f"{stack.images.min():.2e} to {stack.images.max():.2e}"
'1.83e-07 to 3.49e-05'
"""

from skullnb.phantom.stacks import VARIANTS, published_stack, subject, variant

__all__ = ["VARIANTS", "published_stack", "subject", "variant"]
