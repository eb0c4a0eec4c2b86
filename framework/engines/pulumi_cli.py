"""Finds the pulumi CLI and its kubernetes provider: installed on this machine, or built by us.

No package registry has these two programs. `make setup-pulumi` builds them from their Go modules,
which `tools/` pins, where they are not installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from framework.builds.binaries import Binaries, Program
from framework.builds.modules import load_module, require_version
from framework.core.errors import BuildError, StateError
from framework.core.passphrase import PASSPHRASE, has_passphrase
from framework.core.user_cache import cache_directory

_CLI_ESTIMATE = "built once per user: about four minutes on two cores, downloads included"
_PROVIDER_ESTIMATE = "built once per user: about seven minutes on two cores, downloads included"
SETUP = "make setup-pulumi"
_CLI, _PROVIDER = "pulumi", "pulumi-resource-kubernetes"
_CLI_MODULE = "github.com/pulumi/pulumi/pkg/v3"
_PROVIDER_MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"
# The module has no release tags, and a version of the proxy is a commit: this one is v4.25.0, whose
# schema is the one that the command embeds. The SDK is newer, because an installed CLI uses a
# provider of the SDK's version.
_PROVIDER_VERSION = "v4.25.0"
_PROVIDER_FILES = "cmd/pulumi-resource-kubernetes"
# What the engine needs of the CLI, and the release that has it first, by pulumi's changelog:
#     3.114  `up --continue-on-error`
#     3.158  `--exclude`; from 3.188 also with patterns, which name URNs that are not recorded
#     3.208  `--target` for the old object of a replacement
#     3.211  tags of a stack, in a backend without a server of its own
#     3.225  a new component that is not a target, as with MODEL=; before, the CLI panics
# An older one fails in the middle of an `up`.
_OLDEST_VERSION = "3.225.0"
_VERSION_TIMEOUT_S = 20.0
_LAST_LINES = 12
# The AWS library of the CLI warns at every read from a server that sends no checksums.
_NOISE = re.compile(r"SDK \S+ \S+ WARN ")
_MAX_PRINTED = 40


@dataclass(frozen=True)
class PulumiCli:
    """A pulumi CLI that runs here. `search_path` is the PATH on which it finds its provider."""

    command: Path
    version: str
    search_path: str
    built: bool


@dataclass(frozen=True)
class MissingCli:
    """The CLI engine cannot run here; `reason` says why."""

    reason: str


def find_pulumi(root: Path, *, built: bool = True) -> PulumiCli | MissingCli:
    """Returns the installed CLI. If there is none, and `built` is True, returns the built one.

    With `built` False, the reason also mentions a built one if it exists.
    """
    installed = _find_installed()
    if isinstance(installed, PulumiCli):
        return installed
    try:
        own = _find_built(root)
    except BuildError:
        # Broken pins are an error for whoever needs what they build.
        if built:
            raise
        return installed
    if own is None:
        return installed
    if built:
        return own
    return MissingCli(f"{installed.reason}; ENGINE=cli runs the one that `{SETUP}` has built")


def _find_built(root: Path) -> PulumiCli | None:
    """Returns the CLI that `make setup-pulumi` has built; None if it has not."""
    cli, provider = load_pulumi_binaries(root)
    if cli.missing or provider.missing:
        return None
    version = require_version(cli.module, _CLI_MODULE)
    search_path = os.pathsep.join([str(provider.directory), os.environ.get("PATH", "")])
    return PulumiCli(cli.path(_CLI), version, search_path, built=True)


def build_environment(cli: PulumiCli) -> dict[str, str]:
    """Returns the variables to set for the CLI, in addition to those of this process."""
    environment = {
        "PATH": cli.search_path,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Older providers, such as the one that we build, do not know the provider's input
        # `enablePatchForce`.
        "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
    }
    if "GOGC" not in os.environ:
        # The CLI writes the whole state at each step, and Go's garbage collection takes much of
        # that time. With Go's default of 100, the creation of 100 models takes a quarter longer, in
        # half of the memory (258 MiB in place of 500).
        environment["GOGC"] = "400"
    if cli.built:
        # The provider that we build is on PATH, where this variable hides it.
        environment["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "false"
    if not has_passphrase():
        # The CLI needs a passphrase even for a stack without secrets. The empty one is valid.
        environment[PASSPHRASE] = ""
    return environment


def run_pulumi(cli: PulumiCli, root: Path, *arguments: str) -> str:
    """Runs a command of the CLI in a project, and returns what it prints. StateError."""
    done = subprocess.run(
        [cli.command, *arguments, "--non-interactive"],
        cwd=root,
        env={**os.environ, **build_environment(cli)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        command = f"pulumi {' '.join(arguments[:2])}"
        raise StateError(f"`{command}` failed: {keep_last_lines(done.stderr)}")
    return done.stdout


def keep_last_lines(text: str) -> str:
    """Returns the end of the CLI's output, without the warnings of its libraries."""
    lines = [line for line in text.strip().splitlines() if not _NOISE.search(line)]
    return "\n".join(lines[-_LAST_LINES:])


def load_pulumi_binaries(root: Path) -> tuple[Binaries, Binaries]:
    """Returns what `make setup-pulumi` builds: the CLI and the provider.

    Two modules, because the provider needs an older release of the CLI's packages. Raises
    BuildError.
    """
    cache = cache_directory()
    module = load_module(root / "tools" / "pulumi")
    version = require_version(module, _CLI_MODULE)
    variable = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
    cli = Program(_CLI, f"{_CLI_MODULE}/cmd/pulumi", {variable: version})
    own_cli = Binaries(module, (cli,), cache, f"pulumi-{version}", SETUP, _CLI_ESTIMATE)

    module = load_module(root / "tools" / "pulumi-kubernetes")
    require_version(module, _PROVIDER_MODULE)
    files = ("schema.json", "terraform-mapping.json")
    provider = Program(
        _PROVIDER,
        ".",
        {f"{_PROVIDER_MODULE}/pkg/version.Version": _PROVIDER_VERSION},
        {name: (_PROVIDER_MODULE, f"{_PROVIDER_FILES}/{name}") for name in files},
    )
    label = f"pulumi-kubernetes-{_PROVIDER_VERSION}"
    own_provider = Binaries(module, (provider,), cache, label, SETUP, _PROVIDER_ESTIMATE)
    return own_cli, own_provider


def _find_installed() -> PulumiCli | MissingCli:
    command = shutil.which(_CLI)
    if command is None:
        return MissingCli("no pulumi CLI is installed")
    # Imported here: most machines have no CLI, and no version to parse.
    from semver import VersionInfo

    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if not any(home.glob("plugins/resource-kubernetes-v*")) and not shutil.which(_PROVIDER):
        return MissingCli(f"no kubernetes plugin of pulumi found in {home}/plugins")
    printed = _run_version(command)
    if not VersionInfo.is_valid(printed.removeprefix("v")):
        prints = f'"{printed[:_MAX_PRINTED]}", which is not a version' if printed else "no version"
        return MissingCli(f"{command} does not run here: `pulumi version` prints {prints}")
    if VersionInfo.parse(printed.removeprefix("v")) < _OLDEST_VERSION:
        return MissingCli(
            f"{command} is pulumi {printed}, which is too old: this needs v{_OLDEST_VERSION} or "
            "later, so update it"
        )
    return PulumiCli(Path(command), printed, os.environ.get("PATH", ""), built=False)


def _run_version(command: str) -> str:
    """Returns the first word that `pulumi version` prints, "" where it fails."""
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
