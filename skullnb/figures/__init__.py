"""Every figure, table and sentence of the book: arrays in, a matplotlib Figure or Markdown out.

One palette everywhere, transparent backgrounds and mid-grey text, so that the same picture reads
on a light page and on a dark one.

Names mean the same in all these modules. What serves one chapter says the rest in a sentence; the
building blocks (`style`, `layout`, `drawing`, `frames`, `tables`, `columns`, `flipbook`) say it at
length.

- `image` is (H, W), `images` (N, H, W), both of real numbers; `mask`, `reference`, `brain` (the
  chosen component) and `dilated` are (H, W) uint8 {0, 1}, with N in front where they are several
- widths, areas and distances are in px where nothing else is said; `spacing_mm` is (row, column)
  in mm per pixel, None = unknown
- `slice_numbers` are what slices are called, `groups` one label a slice, `index` counts in a stack
- `reference` or `scores` None = there is no reference mask: nothing is drawn, or it is said so
- `kind` is a colour's name in `style.PALETTE`, `rule` one of `skullnb.pipeline.RULES`
- `is_published_stack`: whether the data is the built-in stack, which published figures are about
- sentences are Markdown with fields, for `skullnb.chapter.Chapter.say`: no number is typed
"""
