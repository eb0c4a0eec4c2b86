"""A check that ends with an error leaves reports that say so, not those of last night."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from framework.cli import drift
from framework.cli.drift import run_drift
from framework.core.errors import ClusterError, FrameworkError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.stack import Stack
from framework.drift import DriftReport
from framework.drift.history import HISTORY


def check(folder: Path) -> ExitCode:
    options = argparse.Namespace(environment="prod", out=str(folder), why=False, json=False)
    return run_drift(folder, options)


def answer(monkeypatch: pytest.MonkeyPatch, result: DriftReport | Exception) -> None:
    def check_stack(root: Path, options: argparse.Namespace) -> DriftReport:
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(drift, "check_stack", check_stack)


def read_verdict(folder: Path) -> str:
    assert (folder / "report.prom").is_file()
    return str(json.loads((folder / "report.json").read_text())["verdict"])


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ClusterError("no answer"), "failed"),
        # A crash in the framework.
        (ValueError("password = hunter22"), "failed"),
        # Such a command checks nothing.
        (UsageError("MODEL=x: no such model"), "clean"),
    ],
)
def test_failed_check_replaces_the_reports_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, verdict: str
) -> None:
    answer(monkeypatch, DriftReport(Stack.of("prod"), ()))
    assert check(tmp_path) is ExitCode.DONE
    assert read_verdict(tmp_path) == "clean"
    answer(monkeypatch, error)
    with pytest.raises(type(error)):
        check(tmp_path)
    assert read_verdict(tmp_path) == verdict
    assert not any("hunter22" in file.read_text() for file in tmp_path.iterdir())


def test_history_that_cannot_be_read_is_an_error_before_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, AssertionError("the check has run"))
    # Nobody can read a folder as a file, not even root.
    (tmp_path / HISTORY).mkdir()
    with pytest.raises(FrameworkError, match=r"cannot be read: .*; name another folder with OUT="):
        check(tmp_path)


def test_crash_while_rendering_replaces_the_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, DriftReport(Stack.of("prod"), ()))
    monkeypatch.setattr(drift, "render_drift", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        check(tmp_path)
    assert read_verdict(tmp_path) == "failed"
