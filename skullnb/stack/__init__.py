"""Stacks of head MRI slices: what they hold, reading them from files, writing masks back.

Three steps, three names: `read_stack` opens a file or a folder, `Stack` is what it returns,
`write_masks` puts masks back on the grid the slices were cut from.
"""

from skullnb.stack.model import Origin, Stack

__all__ = ["Origin", "Stack"]
