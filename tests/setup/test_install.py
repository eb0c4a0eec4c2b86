"""`make` sets up the virtual environment, whatever was released since the locks were written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.shipped import ROOT, copy_shipped

# One worker downloads the wheels.
pytestmark = pytest.mark.xdist_group("setup")
# The pip that the oldest release of this Python brings; None takes the one of this Python.
OLDEST_PIP = {(3, 11): "22.3", (3, 12): "23.2.1"}.get(sys.version_info[:2])
# pytest-cov asks for coverage[toml]. Older pips resolve that again, and then prefer this release.
NEWER = ("coverage", "999.0")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds every locked wheel, the oldest pip, and a newer release of coverage."""
    folder = tmp_path_factory.mktemp("index")
    lock = ["--require-hashes", "-r", str(ROOT / "requirements-dev.lock")]
    wanted = [lock, [f"pip=={OLDEST_PIP}"]] if OLDEST_PIP else [lock]
    for arguments in wanted:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        run = subprocess.run(
            [*download, "--dest", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode and os.environ.get("CI"):
            pytest.fail(run.stderr)
        if run.returncode:
            pytest.skip("the locked wheels cannot be downloaded from the package index")
    write_wheel(folder, *NEWER)
    return folder


def write_wheel(folder: Path, name: str, version: str) -> None:
    """Writes an empty wheel of one package to `folder`."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        metadata = (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: toml\n"
        )
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


class Checkout:
    """A folder with what `make` needs to set up, whose pip reaches nothing but the index."""

    def __init__(self, root: Path, index: Path) -> None:
        self.root = copy_shipped(root, "Makefile", "requirements.lock", "requirements-dev.lock")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "MAKE", "COV_"))}
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_NO_COMPILE": "1"}
        self.environment = {**kept, **offline}

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        """Runs `make TARGET` with this Python."""
        return self.run("make", target, f"PYTHON={sys.executable}")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self) -> dict[str, str]:
        """Returns the version of each installed package."""
        run = self.run(".venv/bin/python", "-m", "pip", "freeze", "--all")
        return dict(line.split("==") for line in run.stdout.splitlines())


@pytest.fixture
def checkout(tmp_path: Path, index: Path) -> Checkout:
    return Checkout(tmp_path / "checkout", index)


def test_oldest_pip_installs_both_locks(checkout: Checkout) -> None:
    assert checkout.run(sys.executable, "-m", "venv", ".venv").returncode == 0
    if OLDEST_PIP:
        pip = checkout.run(".venv/bin/python", "-m", "pip", "install", f"pip=={OLDEST_PIP}")
        assert pip.returncode == 0, pip.stderr
    run = checkout.make(".venv/ready-dev")
    assert run.returncode == 0, run.stdout + run.stderr
    installed = checkout.installed()
    assert not OLDEST_PIP or installed["pip"] == OLDEST_PIP
    assert installed["coverage"] != NEWER[1]


def test_set_up_that_was_cut_short_is_repaired(checkout: Checkout, index: Path) -> None:
    # One package without dependencies, to be quick.
    lock = checkout.root / "requirements.lock"
    (pinned,) = re.findall(r"(?m)^filelock==(\S+) \\\n(?:    --hash=.*\n)+", lock.read_text())
    (block,) = re.findall(r"(?m)^filelock==(?:.*\\\n)+.*\n", lock.read_text())
    lock.write_text(block)
    checkout.environment["PIP_FIND_LINKS"] = str(checkout.root)
    run = checkout.make(".venv/ready")
    assert run.returncode == 2
    assert "run the same make again" in run.stdout
    # What pip leaves when it is killed in the middle of a package: metadata without the code.
    (packages,) = checkout.root.glob(".venv/lib/*/site-packages")
    half = packages / f"filelock-{pinned}.dist-info"
    half.mkdir()
    (half / "METADATA").write_text(f"Name: filelock\nVersion: {pinned}\n")
    checkout.environment["PIP_FIND_LINKS"] = str(index)
    run = checkout.make(".venv/ready")
    assert run.returncode == 0, run.stdout + run.stderr
    assert checkout.run(".venv/bin/python", "-c", "import filelock").returncode == 0
    assert "is up to date" in checkout.make(".venv/ready").stdout
