"""`make bench`: measures the figures of the README in one run."""
