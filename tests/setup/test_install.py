"""`make` sets up the virtual environment with an old pip, and repairs an interrupted set-up.

The set-up of the machine that runs the tests proves that the whole locks can be installed. These
tests install the few packages of the locks that an old pip has trouble with, to be quick.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.shipped import ROOT, copy_shipped

# One worker downloads the wheels.
pytestmark = pytest.mark.xdist_group("setup")
# The pip of the first release of this Python, where it is old enough to matter.
OLDEST_PIP = {(3, 11): "22.3", (3, 12): "23.2.1"}.get(sys.version_info[:2])
# pytest-cov requires coverage[toml]. Although the lock pins coverage, pip before 23.3 resolves the
# extra again, prefers this newer release, and fails because the lock has no hash of it.
NEWER = ("coverage", "999.0")
LOCKED = {
    "requirements.lock": ["filelock"],
    "requirements-dev.lock": [
        *["filelock", "pytest-cov", "coverage", "pytest"],
        *["pluggy", "iniconfig", "packaging", "pygments"],
    ],
}


def read_lock(file: str) -> str:
    """Returns the entries of the `LOCKED` packages of a lock file, with hashes and markers."""
    text = (ROOT / file).read_text()
    entries = (
        re.findall(rf"(?m)^{name}(?:\[\w+\])?==(?:.*\\\n)+.*\n", text) for name in LOCKED[file]
    )
    return "".join(entry for (entry,) in entries)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locked wheels, the oldest pip, and a newer release of coverage."""
    folder = tmp_path_factory.mktemp("index")
    lock = tmp_path_factory.mktemp("lock") / "requirements.txt"
    lock.write_text(read_lock("requirements-dev.lock"))
    pip = f"pip=={OLDEST_PIP or metadata.version('pip')}"
    for arguments in (["--require-hashes", "-r", str(lock)], [pip]):
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
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: toml\n"
        wheel.writestr(f"{info}/METADATA", text)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


class Checkout:
    """A folder with the files that `make` needs for the set-up; its pip uses `index` only."""

    def __init__(self, root: Path, index: Path) -> None:
        self.root = copy_shipped(root, "Makefile")
        for file in LOCKED:
            (root / file).write_text(read_lock(file))
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("PIP_", "MAKE", "COV_", "PYTHON"))
        }
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_NO_COMPILE": "1"}
        self.environment = {**kept, **offline}

    def create_venv(self, index: Path) -> Path:
        """Creates .venv with the oldest pip; returns its site-packages.

        Unpacks the wheel, because `python -m venv` would install a pip first, which takes longer.
        """
        assert self.run(sys.executable, "-m", "venv", "--without-pip", ".venv").returncode == 0
        (packages,) = self.root.glob(".venv/lib/*/site-packages")
        (wheel,) = index.glob("pip-*.whl")
        zipfile.ZipFile(wheel).extractall(packages)
        return packages

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


@pytest.mark.grid
def test_oldest_pip_installs_both_locks_beside_a_newer_release(
    checkout: Checkout, index: Path
) -> None:
    checkout.create_venv(index)
    run = checkout.make(".venv/ready-dev")
    assert run.returncode == 0, run.stdout + run.stderr
    installed = checkout.installed()
    assert not OLDEST_PIP or installed["pip"] == OLDEST_PIP
    assert installed["coverage"] != NEWER[1]


def test_interrupted_set_up_is_repaired(checkout: Checkout, index: Path) -> None:
    (pinned,) = re.findall(r"filelock==(\S+)", read_lock("requirements.lock"))
    packages = checkout.create_venv(index)
    checkout.environment["PIP_FIND_LINKS"] = str(checkout.root)
    run = checkout.make(".venv/ready")
    assert run.returncode == 2
    assert "run the same make again" in run.stdout
    # pip leaves this when it is killed in the middle of a package: metadata without the code.
    half = packages / f"filelock-{pinned}.dist-info"
    half.mkdir()
    (half / "METADATA").write_text(f"Name: filelock\nVersion: {pinned}\n")
    checkout.environment["PIP_FIND_LINKS"] = str(index)
    # The link is replaced, because other checkouts may use the folder that it leads to.
    shared = (checkout.root / ".venv").rename(checkout.root / "shared")
    (checkout.root / ".venv").symlink_to(shared)
    run = checkout.make(".venv/ready")
    assert run.returncode == 0, run.stdout + run.stderr
    assert (shared / half.relative_to(checkout.root / ".venv") / "METADATA").exists()
    assert checkout.run(".venv/bin/python", "-c", "import filelock").returncode == 0
    assert "is up to date" in checkout.make(".venv/ready").stdout
