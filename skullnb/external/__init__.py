"""The pipeline on real heads that took no part in making it.

- `choice`: what the chosen component was, by the reference mask
- `cropping`: the same heads cut by the frame
- `alternatives`: other rules, tried beside the article's
- `measuring`: all of it on the open heads of `skullnb.heads`
- `stored`: the numbers as they were measured, for machines without the heads
"""
