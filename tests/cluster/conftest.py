"""Fixtures of the tests of the local cluster."""

from tests.builds.conftest import progress

__all__ = ["progress"]
