"""An unexpected exception prints one line, writes a file with its traceback, and exits with 1."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from framework.cli import main as front
from framework.cli.verbs import VERBS
from tests.shipped import SHIPPED

SECRET = "hunter2-s3cr3t"
LINE = re.compile(r"^(\S+:\d+): unexpected (.+); the Traceback is in (\S+\.txt); run it again")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/modelcatalog/crashes"


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Replaces every verb by one that raises this error."""

    def crash(root: Path, options: object) -> int:
        raise error

    monkeypatch.setattr("framework.cli.session.crash", crash, raising=False)
    verbs = [dataclasses.replace(verb, run="session:crash") for verb in VERBS]
    monkeypatch.setattr(front, "VERBS", verbs)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(KeyError(SECRET), "KeyError", id="KeyError"),
        pytest.param(RecursionError(SECRET), "RecursionError", id="RecursionError"),
        pytest.param(
            OSError(30, "Read-only file system", "x"), "OSError (read-only file system)", id="disk"
        ),
        pytest.param(OSError(28, "No space left on device"), "OSError (no space", id="full disk"),
    ],
)
@pytest.mark.parametrize("verb", ["up", "render"])
def test_crash_prints_one_line_and_writes_a_file(
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    kind: str,
    verb: str,
) -> None:
    fail_with(monkeypatch, error)
    assert front.main([verb, "dev"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    [line] = output.err.splitlines()
    match = LINE.match(line)
    assert match, line
    assert kind in match[2]
    assert SECRET not in line
    file = Path(match[3])
    assert file.parent == cache
    assert "Traceback (most recent call last)" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_crash_file_contains_no_passphrase(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", SECRET)
    fail_with(monkeypatch, ValueError(f"cannot use {SECRET}"))
    front.main(["up", "dev"])
    [file] = cache.iterdir()
    assert SECRET not in file.read_text()
    assert "ValueError" in file.read_text()


def test_unwritable_cache_does_not_crash_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    fail_with(monkeypatch, KeyError("x"))
    assert front.main(["up", "dev"]) == 1
    assert "its Traceback could not be written anywhere" in capsys.readouterr().err


def test_old_crash_files_are_removed(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.mkdir(parents=True)
    for number in range(30):
        (cache / f"20200101T0000{number:02}Z-1-x.txt").write_text("")
    fail_with(monkeypatch, KeyError("x"))
    front.main(["up", "dev"])
    assert len(list(cache.iterdir())) == 20


def run_python(
    cache: Path, code: str, arguments: str = "['framework', 'list']"
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m framework list` after `code`, which breaks it."""
    command = f"import sys\nsys.argv = {arguments}\n{code}\nimport runpy\n"
    command += "runpy.run_module('framework', run_name='__main__', alter_sys=False)"
    return subprocess.run(
        [sys.executable, "-c", command],
        cwd=SHIPPED,
        env={**os.environ, "XDG_CACHE_HOME": str(cache.parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


BREAKS = [
    pytest.param("sys.modules['framework.cli.main'] = None", id="an import fails"),
    pytest.param(
        "import framework.cli.read as m\n"
        "def run_list(root, options):\n"
        "    import threading\n"
        f"    thread = threading.Thread(target=lambda: {{}}['{SECRET}'])\n"
        "    thread.start(); thread.join()\n"
        "    return 0\n"
        "m.run_list = run_list",
        id="a thread",
    ),
    pytest.param(
        "import framework.cli.read as m\n"
        "def run_list(root, options):\n"
        "    import logging\n"
        "    try: {}['x']\n"
        "    except KeyError: logging.getLogger('grpc').exception('Exception in a call')\n"
        "    return 0\n"
        "m.run_list = run_list",
        id="a library that logs it",
    ),
    pytest.param(
        "import framework.cli.read as m\n"
        "class Broken:\n"
        "    def __del__(self): {}['x']\n"
        "def run_list(root, options):\n"
        "    Broken()\n"
        "    return 0\n"
        "m.run_list = run_list",
        id="a finalizer",
    ),
]


@pytest.mark.parametrize("code", BREAKS)
def test_crash_outside_of_a_verb_is_reported_too(cache: Path, code: str) -> None:
    run = run_python(cache, code)
    assert run.returncode == 1
    assert "Traceback (most" not in run.stderr + run.stdout
    assert SECRET not in run.stderr
    assert LINE.match(run.stderr), run.stderr
    [file] = cache.iterdir()
    assert "Traceback (most recent call last)" in file.read_text()


def test_output_to_a_full_disk_names_the_reason(cache: Path) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "framework", "list"],
            cwd=SHIPPED,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert run.returncode == 1
    assert run.stderr == "the output cannot be written: No space left on device\n"
