"""A check runs no refresh that would lock the state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.cli.drift import _RefreshCheck
from framework.core.stack import Stack
from framework.drift import DriftReport
from framework.engines.base import RecordedObjects, Request
from framework.engines.cli import CliEngine
from tests.engines.fakes import FAKE_CLI


@pytest.mark.parametrize("version", ["v3.99.0", "v3.228.0"])
def test_old_cli_gives_a_warning_in_place_of_the_verdict(tmp_path: Path, version: str) -> None:
    engine = CliEngine(replace(FAKE_CLI, version=version))
    session: Any = SimpleNamespace(engine=engine, request=Request(tmp_path, Stack.of("dev")))
    refresh = _RefreshCheck(session)
    assert refresh.run() == {}
    report = refresh.add_to(DriftReport(Stack.of("dev"), ()), cast(RecordedObjects, None))
    assert report.clean
    assert report.refresh is None
    (warning,) = report.warnings
    assert f"pulumi {version} locks the state" in warning
