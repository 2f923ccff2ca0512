"""Synthetic heads with an exact reference mask. Nothing here comes from a scan.

`published_stack` stands in for the article's five slices, which are not public. It is *calibrated
to* the published figures: its seed was picked and its parameters (gap between brain and skull, size
of the head, width of the sulci, thickness of the scalp, noise, brightness of a few vessels) were
tuned until the range, Otsu's threshold, the sweep and the scores agreed. That agreement shows that
one head *can* have all these figures at once. It is no evidence that the article is right, nor that
the pipeline works on people.

`subject` draws any number of other heads, `variant` heads that break one assumption each
(`VARIANTS` lists them). The steps of a slice are in `skullnb.phantom.slices.Subject.make_slice`:

1. `anatomy`: outlines of skin, skull and brain at one level; the skull's is the reference mask
2. `section`: the pixels of that level, in mm
3. `sulci`: fissures and sulci folded into the brain
4. `tissue`: intensities of scalp, skull, cortex, white matter, nuclei and ventricles
5. `acquisition`: coil profile, point spread, noise
6. `calibration`: bright vessels that set Otsu's threshold, one gain that sets the range

Examples
--------
>>> from skullnb.phantom import published_stack
>>> stack = published_stack()
>>> f"{stack.images.min():.2e} to {stack.images.max():.2e}"
'1.83e-07 to 3.49e-05'
"""

from skullnb.phantom.acquisition import Acquisition
from skullnb.phantom.anatomy import Anatomy
from skullnb.phantom.section import BUILT_IN_SPACING_MM
from skullnb.phantom.slices import Recipe
from skullnb.phantom.stacks import published_stack, subject
from skullnb.phantom.tissue import Intensities
from skullnb.phantom.variants import VARIANTS, variant

__all__ = [
    "BUILT_IN_SPACING_MM",
    "VARIANTS",
    "Acquisition",
    "Anatomy",
    "Intensities",
    "Recipe",
    "published_stack",
    "subject",
    "variant",
]
