"""Writes all reports of one drift check into a folder, with the history.

A nightly job keeps the folder, so that the next check can find when each finding was first
reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from framework.core.atomic_files import discard, write_beside
from framework.core.errors import FrameworkError
from framework.drift.history import DAMAGED, HISTORY, History, load_history
from framework.drift.report import Verdict
from framework.drift.run import DriftRun
from framework.output.drift_html import Neighbour, render_drift_html
from framework.output.drift_json import build_drift
from framework.output.drift_markdown import render_drift_markdown
from framework.output.drift_metrics import render_metrics
from framework.output.drift_sarif import render_sarif
from framework.output.json import render_json

# Two environments may write their checks into one folder at the same time.
_LOCK = ".history.lock"
_MAX_WAIT_S = 60


def render_reports(
    run: DriftRun, history: History, neighbours: Sequence[Neighbour] = (), prefix: str = ""
) -> dict[str, str]:
    """Returns the text of each report by its file name.

    `history` includes the check. `prefix` is the folder of the project in its repository.
    """
    return {
        "report.md": render_drift_markdown(run, history),
        "report.sarif": render_sarif(run, prefix),
        "report.prom": render_metrics(run, history),
        "report.html": render_drift_html(run, history, neighbours),
        "report.json": f"{render_json(build_drift(run, history))}\n",
    }


def find_neighbours(folder: Path, environment: str) -> tuple[Neighbour, ...]:
    """Returns the last checks of other environments, from the folders beside `folder`.

    So `OUT=drift/dev` and `OUT=drift/prod` link to each other. A report.json of another tool is
    ignored.
    """
    found = []
    for file in sorted(folder.absolute().parent.glob("*/report.json")):
        try:
            document = json.loads(file.read_bytes())
            differences = sum(len(stack["findings"]) for stack in document["stacks"])
            verdict, checked = Verdict(document["verdict"]), str(document["checked"])
            name = str(document["environment"])
        except (OSError, ValueError, LookupError, TypeError):
            continue
        if name != environment and file.parent.name != folder.absolute().name:
            page = f"../{quote(file.parent.name)}/report.html"
            found.append(Neighbour(name, verdict, checked, differences, page))
    return tuple(found)


@contextmanager
def _lock_history(folder: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of the history, or none where the folder has no locks.

    A lock file of another user, or a file system without locks, refuses it. Then a line of the
    history may be lost if two checks end at once, which is less than the reports.
    """
    # Everybody who can write the folder also needs the lock, so the umask does not apply to it.
    lock = FileLock(folder / _LOCK, timeout=_MAX_WAIT_S, mode=0o666)
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as exc:
        warn(
            f"OUT={folder}: the history is written without a lock, because {_LOCK} cannot be "
            f"locked: {exc.strerror or exc}; two checks at once may lose a line of it"
        )
        yield
        return
    try:
        yield
    finally:
        lock.release()


def write_reports(
    folder: Path,
    run: DriftRun,
    history: History,
    prefix: str = "",
    warn: Callable[[str], None] = lambda text: None,
) -> tuple[Path, ...]:
    """Writes the reports and the history; returns the paths of the reports.

    Every file is complete or as it was before: all are written beside their places first, and then
    renamed. `warn` is called if the history cannot be locked. Raises FrameworkError if the folder
    cannot be written.
    """
    reports = render_reports(run, history, find_neighbours(folder, run.environment), prefix)
    files = {name: text.encode() for name, text in reports.items()}
    temporary: dict[Path, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock_history(folder, warn):
            merged = history.with_other_stacks(load_history(folder), run)
            files[HISTORY] = merged.render().encode()
            if history.damaged:
                # Appended: an earlier check may have moved lines there.
                before = folder / DAMAGED
                kept = before.read_bytes() if before.is_file() else b""
                files[DAMAGED] = kept + b"".join(line + b"\n" for line in history.damaged)
            for name, content in files.items():
                temporary[folder / name] = write_beside(folder / name, content)
            for target, beside in temporary.items():
                beside.replace(target)
    except Timeout as exc:
        raise FrameworkError(
            f"OUT={folder}: another check has been writing its reports there for {_MAX_WAIT_S} s; "
            "wait until it has ended and check again, or name another folder"
        ) from exc
    except OSError as exc:
        raise FrameworkError(
            f"OUT={folder}: the reports cannot be written: {exc.strerror or exc}; name a folder "
            "that can be written"
        ) from exc
    finally:
        for beside in temporary.values():
            discard(beside)
    return tuple(folder / name for name in sorted(files) if name.startswith("report."))
