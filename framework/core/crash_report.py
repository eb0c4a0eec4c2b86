"""Writes the traceback of a crash to a file in the user's cache, and prints one line about it.

A crash may happen before the command line is loaded, in a thread, or in the process of the Pulumi
program. So this module imports only the standard library and small modules of core.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import traceback
from pathlib import Path

from framework.core.user_cache import cache_directory

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_NEXT_STEP = "run it again, and report this file with the command if it fails again"
_MAX_FILES = 20


def describe_crash(error: BaseException) -> str:
    """Writes the traceback to a file. Returns one line with the position, the type and the file.

    The message of the error is only in the file, because it may quote a secret.
    """
    text = "".join(traceback.format_exception(error))
    kind = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        kind = f"{kind} ({error.strerror.lower()})"
    return f"{_find_position(error)}: unexpected {kind}; {describe_traceback(text)}; {_NEXT_STEP}"


def describe_traceback(text: str) -> str:
    """Writes a traceback to a file. Returns the part of a sentence that names the file."""
    path = write_traceback(text)
    return f"the Traceback is in {path}" if path else "its Traceback could not be written anywhere"


def write_traceback(text: str) -> Path | None:
    """Writes a traceback to a new file that only this user can read.

    The folder is `crashes` in the cache, or the one for temporary files. Returns None if neither is
    writable.
    """
    # Imported only here: every command loads this module, and few crash.
    import tempfile
    import uuid
    from datetime import UTC, datetime

    from framework.core.passphrase import PASSPHRASE
    from framework.core.redaction import redact_text, redact_within

    passphrase = os.environ.get(PASSPHRASE, "")
    # Indented lines are frames of the stack; their code has names such as `token = ...` in it.
    shown = "\n".join(
        line if line.startswith("  ") else redact_within(line) for line in text.split("\n")
    )
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{stamp}-{os.getpid()}-{uuid.uuid4().hex[:6]}.txt"
    for folder in (cache_directory() / "crashes", Path(tempfile.gettempdir())):
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except OSError:
            continue
        try:
            with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
                file.write(f"{_command()}\n\n{redact_text(shown, [passphrase])}")
        except OSError:
            path.unlink(missing_ok=True)
            continue
        if folder.name == "crashes":
            _remove_oldest(folder)
        return path
    return None


def _command() -> str:
    # Only the verb and its first argument, because the value of `--set` may be a secret.
    return " ".join(Path(arg).name if i == 0 else arg for i, arg in enumerate(sys.argv[:3]))


def _remove_oldest(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*.txt"))[:-_MAX_FILES]:
            path.unlink(missing_ok=True)


def _find_position(error: BaseException) -> str:
    """Returns file and line of the innermost frame in this package, else of the innermost frame."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE_PARENT)]
    own = [frame for frame in own if "site-packages" not in frame.filename] or list(frames)
    if not own:
        return "framework"
    path = Path(own[-1].filename)
    if path.is_relative_to(_PACKAGE_PARENT):
        path = path.relative_to(_PACKAGE_PARENT)
    return f"{path}:{own[-1].lineno}"


class CrashReports:
    """Reports crashes that Python would print as tracebacks, with one line each.

    `count` is the number of crashes: a command must not succeed if one of its threads crashed.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def install(self) -> None:
        """Replaces Python's own reports for the rest of this process."""
        sys.excepthook = lambda kind, error, trace: self.report(error)
        threading.excepthook = self._report_thread
        sys.unraisablehook = lambda args: self.report(args.exc_value)
        # Libraries such as gRPC log the exceptions of their callbacks. If a program has not set up
        # logging, Python prints them with this handler.
        logging.lastResort = _OneLine(self)

    def report(self, error: BaseException | None) -> None:
        """Reports one crash."""
        if error is None:
            return
        with self._lock:
            self.count += 1
        _print(describe_crash(error))

    def _report_thread(self, args: threading.ExceptHookArgs) -> None:
        if not isinstance(args.exc_value, SystemExit):
            self.report(args.exc_value)


class _OneLine(logging.Handler):
    def __init__(self, reports: CrashReports) -> None:
        super().__init__(logging.WARNING)
        self._reports = reports

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._reports.report(error)
        else:
            _print(f"{record.name}: {record.getMessage()}")


def _print(line: str) -> None:
    # If the terminal is gone, the exit code still shows that the command failed.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
