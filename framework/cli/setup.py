"""The verb setup-pulumi."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from framework.core.errors import BuildError
from framework.core.exit_codes import ExitCode
from framework.engines.pulumi_cli import PulumiCli, find_pulumi, load_pulumi_binaries
from framework.output.setup import SetupScreen


def run_setup_pulumi(root: Path, options: argparse.Namespace) -> int:
    """Builds the pulumi CLI and its kubernetes provider, unless they are installed or built."""
    cli = find_pulumi(root)
    if not isinstance(cli, PulumiCli):
        with SetupScreen(sys.stdout, "pulumi") as screen:
            for binaries in load_pulumi_binaries(root):
                binaries.build(screen.show)
        cli = find_pulumi(root)
    if not isinstance(cli, PulumiCli):
        raise BuildError(f"pulumi cannot be used here: {cli.reason}")
    print(f"pulumi {cli.version}: {cli.command}")
    if cli.built:
        print("ENGINE=cli uses it, unless another pulumi is installed")
    return ExitCode.DONE
