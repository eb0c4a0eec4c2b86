"""The lock of the history: other users, and file systems without locks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from filelock import FileLock

from framework.drift.history import History
from framework.output.drift_files import write_reports
from tests.drift.test_history import FIRST, check


def test_lock_can_be_taken_by_each_user_that_can_write_the_folder(tmp_path: Path) -> None:
    run = check(0, FIRST)
    before = os.umask(0o022)
    try:
        write_reports(tmp_path, run, History().add(run))
    finally:
        os.umask(before)
    assert (tmp_path / ".history.lock").stat().st_mode & 0o777 == 0o666


def test_reports_are_written_where_the_lock_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(lock: FileLock) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    run, warnings = check(0, FIRST), list[str]()
    files = write_reports(tmp_path, run, History().add(run), warn=warnings.append)
    assert all(file.is_file() for file in files)
    assert "without a lock" in warnings[0]
    assert "No locks available" in warnings[0]
