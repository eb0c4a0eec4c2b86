"""Interruptions: SIGTERM ends an operation like Ctrl-C, and pulumi receives Ctrl-C exactly once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NoReturn

from framework.engines.pulumi_cli import PulumiCli

if TYPE_CHECKING:
    from pulumi.automation import CommandResult

OnOutput = Callable[[str], object]


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Makes SIGTERM end an operation like Ctrl-C: the lock is released, the journal is folded."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    # Python allows only the main thread to set a handler.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        # A handler that was not set from Python reads as None and cannot be set again.
        with contextlib.suppress(TypeError):
            signal.signal(signal.SIGTERM, before)


class InterruptibleCommand:
    """Runs pulumi for the Automation API, in place of its `PulumiCommand`.

    A terminal sends Ctrl-C to all processes of a group. pulumi has a group of its own, so it
    receives only what is forwarded here. After the first Ctrl-C it starts no further step, ends the
    waits of those in progress and saves. After the second it stops at once. The third kills it.
    `PulumiCommand` would leave it running and return. Its constructor would also run `pulumi
    version`, which `find_pulumi` has done.
    """

    def __init__(self, cli: PulumiCli) -> None:
        from semver import VersionInfo

        self.command = str(cli.command)
        self.version = VersionInfo.parse(cli.version.removeprefix("v"))

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
        *,
        input: str | None = None,
    ) -> CommandResult:
        """Runs a command to its end, with `input` on its standard input.

        CommandError if it fails, KeyboardInterrupt after Ctrl-C.
        """
        from pulumi.automation import CommandResult
        from pulumi.automation.errors import create_command_error

        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        # The Kubernetes provider writes the kubeconfig, with the user's key, to a temporary file
        # and never removes it (`writeKubeconfigToFile` in its util.go).
        with (
            tempfile.TemporaryDirectory(
                prefix="modelcatalog-pulumi-", ignore_cleanup_errors=True
            ) as folder,
            subprocess.Popen(
                [self.command, "--non-interactive", *args],
                stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env={**environment, "TMPDIR": folder},
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            ) as process,
        ):
            output = _LineReader(process.stdout, on_output)
            errors = _LineReader(process.stderr, on_error)
            threads: list[threading.Thread] = [output, errors]
            if process.stdin is not None and input is not None:
                threads.append(_start_writer(process.stdin, input))
            interrupted = _wait_and_forward(process, threads)
        if interrupted:
            raise KeyboardInterrupt
        result = CommandResult(output.text, errors.text, process.returncode)
        if process.returncode:
            raise create_command_error(result)
        return result


class _LineReader(threading.Thread):
    """Collects the lines of a stream, and passes each to `on_line`."""

    def __init__(self, stream: IO[str] | None, on_line: OnOutput | None) -> None:
        super().__init__(daemon=True)
        self._stream, self._on_line = stream, on_line
        self._lines: list[str] = []
        self.start()

    def run(self) -> None:
        for line in self._stream or ():
            self._lines.append(line.rstrip())
            if self._on_line:
                self._on_line(self._lines[-1])

    @property
    def text(self) -> str:
        """All lines so far."""
        return "\n".join(self._lines)


def _start_writer(stream: IO[str], text: str) -> threading.Thread:
    """Starts a thread that writes a text to a process: a pipe takes only 64 KiB at a time."""

    def write() -> None:
        # pulumi fails before it has read everything, for example where the stack is locked.
        with contextlib.suppress(BrokenPipeError), stream:
            stream.write(text)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    return writer


def _wait_and_forward(process: subprocess.Popen[str], threads: Iterable[threading.Thread]) -> bool:
    """Waits until pulumi has ended, and forwards every Ctrl-C. Returns whether there was one."""
    interrupts = 0
    while True:
        try:
            for thread in threads:
                thread.join()
            process.wait()
            return interrupts > 0
        except KeyboardInterrupt:
            interrupts += 1
            with contextlib.suppress(ProcessLookupError):
                if interrupts <= 2:
                    process.send_signal(signal.SIGINT)
                else:
                    os.killpg(process.pid, signal.SIGKILL)
