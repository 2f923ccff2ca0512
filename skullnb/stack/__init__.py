"""Stacks of head MRI slices: what they hold, reading them from files, writing masks back.

`read_stack` opens a file or a folder, `Stack` is what it returns, `write_masks` puts masks back on
the grid the slices were cut from, and `write_stack` writes a stack that was made in memory.
"""

from skullnb.stack.model import Grid, Stack, Volume
from skullnb.stack.read import list_volumes, open_volume, read_stack, split_series
from skullnb.stack.write import MASK_KINDS, refuse_place, write_masks, write_stack, writing
