"""A fixture of the tests of reports: a small project under Git."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Returns a repository with the files of `FILES` in its first commit."""
    return Repository(tmp_path / "project")
