"""Builds the control plane's binaries once per user, from the Go modules that `tools/` pins.

Kept apart because it is the one slow step, shared by every checkout: the binaries live in the
user's cache under a key of the pins, are made under a lock, and appear whole or not at all.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from framework.cluster.pins import Pins
from framework.cluster.report import ClusterProgress, OnProgress
from framework.cluster.toolchain import find_go
from framework.core.errors import LocalClusterError

# Where the binary's name comes from which package, in the order of building: the quick one first.
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
}
ESTIMATE = "built once per user: about ten minutes on two cores, modules and compiling together"
_QUIET_SECONDS = 3.0
_TICK_SECONDS = 1.0
_TAIL_LINES = 15
_NETWORK_WORDS = ("dial tcp", "no such host", "i/o timeout", "connection refused", "GOPROXY")


@dataclass(frozen=True)
class Binaries:
    """The binaries of one set of pins: where they are, and which of them are there."""

    pins: Pins
    cache: Path

    @property
    def directory(self) -> Path:
        """The folder of these pins' binaries and of the logs of their building."""
        return self.cache / "bin" / self.pins.key

    def path(self, name: str) -> Path:
        """The binary called `name`, whether or not it is there."""
        return self.directory / name

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of what is not built yet."""
        return tuple(name for name in PACKAGES if not self.path(name).exists())

    def build(self, on_progress: OnProgress) -> None:
        """Build what is missing; another build of the same user is waited for, never repeated."""
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
        from filelock import FileLock, Timeout

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
    """The building of one component."""

    binaries: Binaries
    go: Path
    name: str
    index: int
    total: int
    on_progress: OnProgress

    def run(self) -> None:
        started = time.monotonic()
        # A name of its own: a build that outlived its parent may still be writing to the last one.
        partial = self.binaries.directory / f".{self.name}.{os.getpid()}.partial"
        with self.log.open("wb") as log:
            process = self._spawn(partial, log)
            try:
                while process.poll() is None:
                    self._report(started, self._doing(), done=False)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_TICK_SECONDS)
            finally:
                _end(process)
        if process.returncode != 0:
            partial.unlink(missing_ok=True)
            raise self._failure(process.returncode)
        partial.replace(self.binaries.path(self.name))
        self._report(started, "built", done=True)

    @property
    def log(self) -> Path:
        return self.binaries.directory / f"{self.name}.log"

    def _spawn(self, partial: Path, log: BinaryIO) -> subprocess.Popen[bytes]:
        pins = self.binaries.pins
        return subprocess.Popen(
            [self.go, *_build_arguments(pins.kubernetes, partial, PACKAGES[self.name])],
            cwd=pins.tools,
            env=_build_environment(pins),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def _doing(self) -> str:
        last = "".join(_tail(self.log, 1))
        # Go names every module that it downloads, and says nothing while it compiles.
        quiet = time.time() - self.log.stat().st_mtime > _QUIET_SECONDS
        downloading = last.startswith("go: downloading") and not quiet
        return last.removeprefix("go: ") if downloading else "compiling"

    def _report(self, started: float, message: str, *, done: bool) -> None:
        elapsed = time.monotonic() - started
        self.on_progress(
            ClusterProgress("build", self.name, self.index, self.total, elapsed, message, done)
        )

    def _failure(self, code: int) -> LocalClusterError:
        tail = _tail(self.log, _TAIL_LINES)
        advice = "mend that and run `make cluster-up` again; what is built already is kept"
        if any(word in line for line in tail for word in _NETWORK_WORDS):
            advice = (
                "the Go modules must come from a module proxy once: set GOPROXY to one that "
                "answers from here, and run `make cluster-up` again"
            )
        output = "\n".join(f"  {line}" for line in tail)
        return LocalClusterError(
            f"local cluster: building {self.name} failed with exit code {code}; {advice}; "
            f"the whole output is in {self.log} and ends with\n{output}"
        )


def _build_arguments(kubernetes: str, output: Path, package: str) -> Sequence[str]:
    major, minor, *_ = kubernetes.removeprefix("v").split(".")
    version = "k8s.io/component-base/version"
    stamps = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    ldflags = " ".join(["-s -w", *(f"-X {version}.{key}={value}" for key, value in stamps.items())])
    flags = ("-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", ldflags)
    return ("build", *flags, "-o", str(output), package)


def _build_environment(pins: Pins) -> dict[str, str]:
    # GOWORK: a go.work above the checkout would replace the pins. GOOS, GOARCH: someone who
    # cross-compiles may have exported them.
    fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GO111MODULE": "on"}
    return {**os.environ, **fixed, "GOOS": pins.goos, "GOARCH": pins.goarch}


def _tail(path: Path, lines: int) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip() for line in deque(file, maxlen=lines)]


def _end(process: subprocess.Popen[bytes]) -> None:
    # Of an interrupted build. It shares our process group, so that Ctrl-C or a closed terminal
    # ends the compilers as well.
    if process.poll() is None:
        process.kill()
        process.wait()
