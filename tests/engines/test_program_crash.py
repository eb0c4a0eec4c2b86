"""A crash of the program or its process is reported in one line, with a file for the Traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.errors import EngineError
from framework.engines.embedded.engine import EmbeddedEngine
from tests.engines.fakes import RECORDED, Stack

SECRET = "s3cr3t-fixture"


@pytest.fixture
def crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's crash reports."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/modelcatalog/crashes"


def test_crashed_program_is_reported_in_one_line_without_secrets(
    stack: Stack, crashes: Path
) -> None:
    settings = (RECORDED / "3-secret/Pulumi.dev.yaml").read_text().replace("fixture:", "test:")
    (stack.root / "environments").mkdir()
    (stack.root / "environments/Pulumi.dev.yaml").write_text(settings)
    stack.program("""
        token = pulumi.Config().require("token")
        raise SystemError(f"cannot use {token}")
    """)
    with pytest.raises(EngineError) as error:
        stack.preview()
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert "SystemError: cannot use [secret]; the Traceback is in" in message
    [file] = crashes.iterdir()
    assert "Traceback (most recent call last)" in file.read_text()
    assert SECRET not in file.read_text()


def test_process_that_cannot_start_is_reported_in_one_line(
    stack: Stack, crashes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = stack.root / "modules/pulumi"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('this installation is broken')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    stack.engine = EmbeddedEngine(stack.cluster.connect)
    stack.program("")
    with pytest.raises(EngineError) as error:
        stack.preview()
    message = str(error.value)
    assert "Traceback (most" not in message
    assert "this installation is broken; the Traceback is in" in message
    [file] = crashes.iterdir()
    assert "Traceback (most recent call last)" in file.read_text()
