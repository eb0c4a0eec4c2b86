"""Finds the pulumi CLI and its kubernetes provider: installed on this machine, or built by us.

No package registry has these two programs. `make setup-pulumi` builds them from their Go modules,
which `tools/pulumi` pins, where they are not installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from framework.builds.binaries import Binaries, Program
from framework.builds.modules import load_module, require_version
from framework.core.user_cache import cache_directory

ESTIMATE = "built once per user: about twenty minutes on two cores, downloads included"
SETUP = "make setup-pulumi"
_CLI, _PROVIDER = "pulumi", "pulumi-resource-kubernetes"
_CLI_MODULE = "github.com/pulumi/pulumi/pkg/v3"
_PROVIDER_MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"
# The module has no release tags, and a version of the proxy is a commit: this one is v4.25.0, whose
# schema is the one that the command embeds.
_PROVIDER_VERSION = "v4.25.0"
_PROVIDER_FILES = "cmd/pulumi-resource-kubernetes"
_VERSION_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class PulumiCli:
    """A pulumi CLI that runs here. `search_path` is the PATH on which it finds its provider."""

    command: Path
    version: str
    search_path: str
    built: bool


@dataclass(frozen=True)
class MissingCli:
    """The reason why the CLI engine cannot run here, in words."""

    why: str


def find_pulumi(root: Path, *, built: bool = True) -> PulumiCli | MissingCli:
    """Returns the installed CLI; where there is none, the one that was built, with `built`."""
    installed = _find_installed()
    if isinstance(installed, PulumiCli) or not built:
        return installed
    binaries = load_pulumi_binaries(root)
    if binaries is None or binaries.missing:
        return MissingCli(f"{installed.why}; `{SETUP}` builds it once per user")
    version = require_version(binaries.module, _CLI_MODULE)
    search_path = os.pathsep.join([str(binaries.directory), os.environ.get("PATH", "")])
    return PulumiCli(binaries.path(_CLI), version, search_path, built=True)


def load_pulumi_binaries(root: Path, cache: Path | None = None) -> Binaries | None:
    """Returns what `make setup-pulumi` builds; None where the project has no `tools/pulumi`.

    Raises BuildError.
    """
    folder = root / "tools" / "pulumi"
    if not folder.is_dir():
        return None
    module = load_module(folder)
    version = require_version(module, _CLI_MODULE)
    require_version(module, _PROVIDER_MODULE)
    cli = Program(
        _CLI,
        f"{_CLI_MODULE}/cmd/pulumi",
        {"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": version},
    )
    provider = Program(
        _PROVIDER,
        "./provider",
        {f"{_PROVIDER_MODULE}/pkg/version.Version": _PROVIDER_VERSION},
        {
            f"provider/{name}": (_PROVIDER_MODULE, f"{_PROVIDER_FILES}/{name}")
            for name in ("schema.json", "terraform-mapping.json")
        },
    )
    cache = cache or cache_directory()
    return Binaries(module, (cli, provider), cache, f"pulumi-{version}", SETUP, ESTIMATE)


def _find_installed() -> PulumiCli | MissingCli:
    command = shutil.which(_CLI)
    if command is None:
        return MissingCli("no pulumi CLI found")
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if not any(home.glob("plugins/resource-kubernetes-v*")) and not shutil.which(_PROVIDER):
        return MissingCli(f"no kubernetes plugin of pulumi found in {home}/plugins")
    version = _read_version(command)
    if not version:
        return MissingCli(f"{command} does not run here: `pulumi version` prints no version")
    return PulumiCli(Path(command), version, os.environ.get("PATH", ""), built=False)


def _read_version(command: str) -> str:
    """Returns the version that `pulumi version` prints, "" where it fails."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [command, "version"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = done.stdout.split()
    return words[0] if done.returncode == 0 and words else ""
