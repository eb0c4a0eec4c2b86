"""Measures the figures of the README in one run. `make bench` runs it."""
