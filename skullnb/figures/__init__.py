"""Every figure of the book: arrays in, a matplotlib Figure out.

One palette everywhere, transparent backgrounds and mid-grey text, so that the same picture reads
on a light page and on a dark one.
"""
