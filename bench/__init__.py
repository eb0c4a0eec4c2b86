"""`make bench`: every figure of the README, measured in one run."""
