"""Builds programs from a pinned Go module, into a folder of the user's cache.

The folder is named after the pins, and shared by every checkout with the same pins. A build takes
minutes, so it is locked against a second one, and continues where an interrupted one stopped.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from framework.builds.modules import GoModule
from framework.builds.progress import OnProgress, SetupProgress
from framework.builds.toolchain import find_go
from framework.core.errors import BuildError

_QUIET_SECONDS = 3.0
_TICK_SECONDS = 1.0
_TAIL_LINES = 15
_NETWORK_WORDS = ("dial tcp", "no such host", "i/o timeout", "connection refused", "GOPROXY")


@dataclass(frozen=True)
class Program:
    """One program: its name, its Go package, and what is compiled into it.

    `stamps` are string variables of Go packages, such as a version. `embeds` are files that the
    package embeds and that stand in a required module: `schema.json` -> (module, path).
    """

    name: str
    package: str
    stamps: Mapping[str, str] = field(default_factory=dict)
    embeds: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Binaries:
    """The programs of one module, built or not.

    `programs` are in the order of their builds. `label` is the beginning of the folder's name.
    `command` is the command that builds them, and `estimate` the time that this takes.
    """

    module: GoModule
    programs: tuple[Program, ...]
    cache: Path
    label: str
    command: str
    estimate: str

    @property
    def directory(self) -> Path:
        """The folder of the binaries and of their build logs, different for different pins."""
        module = self.module
        key = f"{self.label}-{module.goos}-{module.goarch}-{module.digest[:12]}"
        return self.cache / "bin" / key

    def path(self, name: str) -> Path:
        """Returns the path of a binary, whether or not it exists."""
        return self.directory / name

    @property
    def missing(self) -> tuple[Program, ...]:
        """The programs that are not built yet."""
        return tuple(p for p in self.programs if not self.path(p.name).exists())

    def build(self, on_progress: OnProgress) -> None:
        """Builds what is missing. Waits for another build of the same user instead of repeating it.

        Raises BuildError.
        """
        if not self.missing:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked(on_progress):
            programs = self.missing
            if not programs:
                return
            for partial in self.directory.glob(".*.partial"):
                partial.unlink()
            first, total = programs[0].name, len(programs)
            on_progress(SetupProgress("build", first, 1, total, 0.0, self.estimate, False))
            go = find_go(self.module, self.cache, on_progress)
            for index, program in enumerate(programs, start=1):
                _Compilation(self, go, program, index, total, on_progress).run()

    @contextmanager
    def _locked(self, on_progress: OnProgress) -> Iterator[None]:
        lock = FileLock(self.cache / "build.lock")
        started = time.monotonic()
        message = "waiting for another build of this user"
        while not lock.is_locked:
            with suppress(Timeout):
                lock.acquire(timeout=_TICK_SECONDS)
                break
            elapsed = time.monotonic() - started
            on_progress(SetupProgress("build", "lock", 1, 1, elapsed, message, False))
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class _Compilation:
    """The build of one program."""

    binaries: Binaries
    go: Path
    program: Program
    index: int
    total: int
    on_progress: OnProgress

    def run(self) -> None:
        started = time.monotonic()
        name = self.program.name
        # The pid makes the name unique: a build that outlived its parent may still write its file.
        partial = self.binaries.directory / f".{name}.{os.getpid()}.partial"
        overlay = self.binaries.directory / f".{name}.{os.getpid()}.overlay.partial"
        with self.log.open("wb") as log:
            try:
                arguments = ["build", *self._flags(overlay), "-o", str(partial)]
                code = self._run_go([*arguments, self.program.package], log.fileno(), started)
            finally:
                overlay.unlink(missing_ok=True)
        if code != 0:
            partial.unlink(missing_ok=True)
            raise self._failure(code)
        partial.replace(self.binaries.path(name))
        self._report(started, "built", done=True)

    @property
    def log(self) -> Path:
        return self.binaries.directory / f"{self.program.name}.log"

    def _flags(self, overlay: Path) -> list[str]:
        """Returns the flags of `go build`; writes the overlay file, if the program needs one."""
        stamps = [f"-X {variable}={value}" for variable, value in self.program.stamps.items()]
        ldflags = ["-ldflags", " ".join(["-s -w", *stamps])]
        flags = ["-trimpath", "-buildvcs=false", "-mod=readonly", *ldflags]
        if not self.program.embeds:
            return flags
        # Go embeds files of the package's own folder only. The overlay lets files of a downloaded
        # module appear there, so that no copy of them is needed.
        files = {
            str(self.binaries.module.folder / ours): str(self._download(module) / theirs)
            for ours, (module, theirs) in self.program.embeds.items()
        }
        overlay.write_text(json.dumps({"Replace": files}))
        return [*flags, "-overlay", str(overlay)]

    def _download(self, module: str) -> Path:
        """Returns the folder of a required module, which is downloaded if needed."""
        done = subprocess.run(
            [self.go, "mod", "download", "-json", module],
            cwd=self.binaries.module.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            self.log.write_text(done.stdout + done.stderr)
            raise self._failure(done.returncode)
        return Path(json.loads(done.stdout)["Dir"])

    def _environment(self) -> dict[str, str]:
        module = self.binaries.module
        # GOWORK=off: a go.work above the checkout would override the pins. GOOS and GOARCH: a user
        # who cross-compiles may have exported others.
        fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GO111MODULE": "on"}
        return {**os.environ, **fixed, "GOOS": module.goos, "GOARCH": module.goarch}

    def _run_go(self, arguments: list[str], log: int, started: float) -> int:
        """Runs `go`, reports its activity every second, and returns its exit code."""
        process = subprocess.Popen(
            [self.go, *arguments],
            cwd=self.binaries.module.folder,
            env=self._environment(),
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
            # After an interruption. The compilers that `go` has started are in our process group:
            # Ctrl-C or a closed terminal ends them as well.
            if process.poll() is None:
                process.kill()
                process.wait()
        return process.returncode

    def _describe_activity(self) -> str:
        # Go prints a line for every module that it downloads, and nothing while it compiles.
        last = "".join(_tail(self.log, 1))
        is_quiet = time.time() - self.log.stat().st_mtime > _QUIET_SECONDS
        is_downloading = last.startswith("go: downloading") and not is_quiet
        return last.removeprefix("go: ") if is_downloading else "compiling"

    def _report(self, started: float, message: str, *, done: bool) -> None:
        elapsed = time.monotonic() - started
        position = (self.program.name, self.index, self.total)
        self.on_progress(SetupProgress("build", *position, elapsed, message, done))

    def _failure(self, code: int) -> BuildError:
        tail = _tail(self.log, _TAIL_LINES)
        command = self.binaries.command
        advice = f"fix that and run `{command}` again; finished binaries are kept"
        if any(word in line for line in tail for word in _NETWORK_WORDS):
            advice = (
                "the Go modules are downloaded from a module proxy once: set GOPROXY to one that "
                f"this machine can reach, and run `{command}` again"
            )
        output = "\n".join(f"  {line}" for line in tail)
        return BuildError(
            f"building {self.program.name} failed with exit code {code}; {advice}; "
            f"the whole output is in {self.log} and ends with\n{output}"
        )


def _tail(path: Path, lines: int) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip() for line in deque(file, maxlen=lines)]
