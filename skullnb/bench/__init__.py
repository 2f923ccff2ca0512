"""What a mask costs, held against the article's way, other libraries, and what must be done.

- `literal`: the article's method, transcribed; the truth that all masks are held against
- `contestants`: the ways to a mask
- `clock`: taking turns, spread, growth, and what it was measured on
- `slices`: one slice
- `processes`: starting, batches with their memory, counted instructions
- `run`: all of it in one run, and the run that was recorded
"""

from skullnb.bench.clock import machine
from skullnb.bench.contestants import NAMES
from skullnb.bench.processes import time_shard
from skullnb.bench.run import bench, lines, record, recorded
from skullnb.bench.slices import STAGES, chosen, compare, rounds_for, time_stages

__all__ = [
    "NAMES",
    "STAGES",
    "bench",
    "chosen",
    "compare",
    "lines",
    "machine",
    "record",
    "recorded",
    "rounds_for",
    "time_shard",
    "time_stages",
]
