"""The verbs of the local cluster."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from framework.cli.session import start_local_cluster
from framework.cluster.local import LocalCluster
from framework.output.cluster import render_status


def run_cluster_up(root: Path, options: argparse.Namespace) -> int:
    """Build (once) and start; idempotent."""
    start_local_cluster(root, sys.stdout)
    print(render_status(LocalCluster(root).status()))
    return 0


def run_cluster_down(root: Path, options: argparse.Namespace) -> int:
    """Stop; the data stays for the next start."""
    stopped = LocalCluster(root).down()
    print("The local cluster has stopped." if stopped else "The local cluster was not running.")
    return 0


def run_cluster_status(root: Path, options: argparse.Namespace) -> int:
    """Processes, nodes, and how to use it."""
    status = LocalCluster(root).status()
    if options.json:
        print(json.dumps(dataclasses.asdict(status), indent=2, default=str))
    else:
        print(render_status(status))
    return 0
