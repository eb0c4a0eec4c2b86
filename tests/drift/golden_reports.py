"""The golden files of the drift reports; `make golden` writes them again."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from framework.output import drift, text, values
from framework.output.drift import render_drift
from framework.output.drift_files import render_reports
from tests.drift.sample_run import build_failed_run, build_history, build_run

FOLDER = Path(__file__).with_name("golden")
WIDTHS = (60, 80, 200)


def build_golden() -> dict[str, str]:
    """Returns the text of each golden file by its name."""
    run = build_run()
    files = render_reports(run, build_history().add(run))
    for width in WIDTHS:
        with (
            mock.patch.object(drift, "screen_width", lambda width=width: width),
            mock.patch.object(text, "screen_width", lambda width=width: width),
            mock.patch.object(values, "screen_width", lambda width=width: width),
        ):
            files[f"screen-{width}.txt"] = render_drift(run, build_history()) + "\n"
    files["screen-failed-why.txt"] = render_drift(build_failed_run(), why=True) + "\n"
    return files


def write_golden() -> None:
    """Writes the golden files."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in build_golden().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
