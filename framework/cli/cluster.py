"""The verbs of the local cluster: cluster-up, cluster-down, cluster-status."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from framework.cli.session import start_local_cluster
from framework.cluster.local import LocalCluster
from framework.core.exit_codes import ExitCode
from framework.output.cluster import render_status


def run_cluster_up(root: Path, options: argparse.Namespace) -> ExitCode:
    """Builds the local cluster (once) and starts it; does nothing if it runs."""
    start_local_cluster(root, sys.stdout)
    print(render_status(LocalCluster(root).status()))
    return ExitCode.DONE


def run_cluster_down(root: Path, options: argparse.Namespace) -> ExitCode:
    """Stops the local cluster; its data stays for the next start."""
    stopped = LocalCluster(root).down()
    print("The local cluster has stopped." if stopped else "The local cluster was not running.")
    return ExitCode.DONE


def run_cluster_status(root: Path, options: argparse.Namespace) -> ExitCode:
    """Shows the processes and nodes of the local cluster, and how to use kubectl with it."""
    status = LocalCluster(root).status()
    if options.json:
        from framework.output.json import build_cluster_status, render_json

        print(render_json(build_cluster_status(status)))
    else:
        print(render_status(status))
    return ExitCode.DONE
