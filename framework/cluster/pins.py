"""Which versions of what the local cluster is made of, read from `tools/go.mod`.

Kept apart because that file is the one place where they are pinned: nothing else in the framework
names a version of Kubernetes, etcd or kwok, and the binaries' cache is keyed by what is found here.
"""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from framework.core.errors import LocalClusterError

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEMS = ("linux", "darwin")


@dataclass(frozen=True, order=True)
class GoVersion:
    """A release of the Go toolchain; a pre-release counts as the release it leads to."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> GoVersion | None:
        """The first version in `text`: of `go version go1.26.8 linux/amd64`, 1.26.8."""
        match = re.search(r"(?:go|^|\s)(\d+)\.(\d+)(?:\.(\d+))?", text)
        return cls(*(int(part or 0) for part in match.groups())) if match else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Pins:
    """The pinned versions, the platform to build for, and the key of the binaries made of them."""

    tools: Path
    go: GoVersion
    kubernetes: str
    goos: str
    goarch: str
    digest: str

    @property
    def key(self) -> str:
        """Names the folder of the binaries: another pin, another folder."""
        return f"{self.kubernetes}-{self.goos}-{self.goarch}-{self.digest[:12]}"


def load_pins(tools: Path) -> Pins:
    """Read `tools/go.mod` and `tools/go.sum`; LocalClusterError where they pin no cluster."""
    texts = [_read(tools / name) for name in ("go.mod", "go.sum")]
    go_line = re.search(r"^go (\S+)$", texts[0], re.MULTILINE)
    go = GoVersion.parse(go_line.group(1)) if go_line else None
    if go is None:
        raise LocalClusterError(
            f"{tools / 'go.mod'}: has no line `go VERSION`; restore it from Git"
        )
    goos, goarch = host_platform()
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    kubernetes = _required(texts[0], "k8s.io/kubernetes", tools)
    return Pins(tools, go, kubernetes, goos, goarch, digest)


def host_platform() -> tuple[str, str]:
    """This machine as Go names it; LocalClusterError where no control plane can run."""
    system, machine = platform.system().lower(), platform.machine().lower()
    if system not in _SYSTEMS or machine not in _MACHINES:
        raise LocalClusterError(
            f"local cluster: {system}/{machine} cannot run it; Linux and macOS on amd64 or arm64 "
            "can; name another cluster's context in environments/<env>/environment.yaml"
        )
    return system, _MACHINES[machine]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise LocalClusterError(
            f"{path}: cannot be read ({exc.strerror}); it pins the local cluster's components; "
            "restore it from Git"
        ) from exc


def _required(go_mod: str, module: str, tools: Path) -> str:
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise LocalClusterError(
            f"{tools / 'go.mod'}: requires no {module}; the local cluster is built from it; "
            "restore the file from Git"
        )
    return match.group(1)
