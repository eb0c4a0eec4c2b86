"""The page of a drift check in a real browser, Debian's Chromium."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.drift.golden_reports import FOLDER

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium on PATH")


def open_page(folder: Path, *options: str, page: Path = FOLDER / "report.html") -> str:
    """Returns what Chromium prints for a page."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        # Nothing may be fetched. A name that is looked up all the same gets no answer.
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}",
        *options, page.as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.grid
def test_browser_runs_no_script_and_keeps_hostile_text_as_text(tmp_path: Path) -> None:
    dom = open_page(tmp_path, "--dump-dom")
    assert "&lt;script&gt;alert(" in dom
    assert "<script" not in dom
    assert len(re.findall(r"<details[^>]* open", dom)) == 7
    assert dom.count("<svg") == 1


@pytest.mark.grid
@pytest.mark.parametrize("width", [1280, 500])
def test_page_is_not_wider_than_the_window(tmp_path: Path, width: int) -> None:
    # A page cannot measure itself without a script, so a copy of it gets one, and loses the policy
    # that would forbid it.
    source = (FOLDER / "report.html").read_text(encoding="utf-8")
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
    script = "<script>document.title = document.documentElement.scrollWidth</script></body>"
    page = tmp_path / "measured.html"
    page.write_text(source.replace("</body>", script), encoding="utf-8")
    dom = open_page(tmp_path, f"--window-size={width},900", "--dump-dom", page=page)
    measured = re.search(r"<title>(\d+)</title>", dom)
    assert measured
    assert int(measured[1]) <= width


@pytest.mark.grid
def test_screenshot_shows_the_page(tmp_path: Path) -> None:
    open_page(tmp_path, "--window-size=1280,900", f"--screenshot={tmp_path / 'page.png'}")
    image = (tmp_path / "page.png").read_bytes()
    assert struct.unpack(">II", image[16:24]) == (1280, 900)
    # An empty page compresses to a few kilobytes.
    assert len(image) > 20_000
