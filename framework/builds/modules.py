"""Reads the Go modules of `tools/`, the only place where the versions of programs are set."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.core.errors import BuildError

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEMS = ("linux", "darwin")


@dataclass(frozen=True, order=True)
class GoVersion:
    """A release of the Go toolchain; a pre-release counts as the release that it precedes."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> GoVersion | None:
        """Returns the first version in `text`: 1.26.8 for `go version go1.26.8 linux/amd64`."""
        match = re.search(r"(?:go|^|\s)(\d+)\.(\d+)(?:\.(\d+))?", text)
        return cls(*(int(part or 0) for part in match.groups())) if match else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class GoModule:
    """One of our modules, which pins programs, and the platform to build them for.

    `versions` maps each required module to its version. `digest` covers all files that decide what
    is built.
    """

    folder: Path
    go: GoVersion
    goos: str
    goarch: str
    versions: Mapping[str, str]
    digest: str


def load_module(folder: Path) -> GoModule:
    """Reads `go.mod`, `go.sum` and the Go files of a folder.

    Raises BuildError if a file or a line is missing, or if this platform is not supported.
    """
    go_mod, go_sum = (_read(folder / name) for name in ("go.mod", "go.sum"))
    go_line = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    go = GoVersion.parse(go_line.group(1)) if go_line else None
    if go is None:
        raise BuildError(f"{folder / 'go.mod'}: has no line `go VERSION`; restore it from Git")
    required = re.findall(r"^\s*(?:require\s+)?(\S+\.\S+/\S+) (v\S+)", go_mod, re.MULTILINE)
    goos, goarch = host_platform()
    sources = [_read(path) for path in sorted(folder.glob("*.go"))]
    digest = hashlib.sha256("\0".join([go_mod, go_sum, *sources]).encode()).hexdigest()
    return GoModule(folder, go, goos, goarch, dict(required), digest)


def require_version(module: GoModule, path: str) -> str:
    """Returns the version of a module that `module` requires; raises BuildError if it does not."""
    if path not in module.versions:
        raise BuildError(
            f"{module.folder / 'go.mod'}: does not require {path}, from which programs are built; "
            "restore the file from Git"
        )
    return module.versions[path]


def host_platform() -> tuple[str, str]:
    """Returns GOOS and GOARCH of this machine; raises BuildError if it is not supported."""
    system, machine = platform.system().lower(), platform.machine().lower()
    if system not in _SYSTEMS or machine not in _MACHINES:
        raise BuildError(
            f"{system}/{machine}: the local cluster and Pulumi are built on Linux and macOS only, "
            "with amd64 or arm64; name another cluster's context in "
            "environments/<env>/environment.yaml, or install pulumi"
        )
    return system, _MACHINES[machine]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise BuildError(
            f"{path}: cannot be read ({exc.strerror}); it pins programs to build; restore it from "
            "Git"
        ) from exc
