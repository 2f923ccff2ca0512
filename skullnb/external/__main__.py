"""`python -m skullnb.external`: measure the open heads anew and store the numbers."""

from skullnb.external.stored import write_results

write_results()
