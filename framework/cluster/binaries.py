"""The programs of the control plane, and how they are built."""

from __future__ import annotations

from pathlib import Path

from framework.builds.binaries import Binaries, Program
from framework.builds.modules import load_module, require_version
from framework.core.user_cache import cache_directory

# From the name of a binary to its Go package, in the order of the builds: the quickest first.
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
}
ESTIMATE = "built once per user: about ten minutes on two cores, downloads included"
_VERSION = "k8s.io/component-base/version"


def load_binaries(tools: Path, cache: Path | None = None) -> Binaries:
    """Returns the binaries of the control plane that `tools/go.mod` pins; raises BuildError."""
    module = load_module(tools)
    kubernetes = require_version(module, "k8s.io/kubernetes")
    # Without these variables the API server reports version v0.0.0-master.
    major, minor, *_ = kubernetes.removeprefix("v").split(".")
    stamps = {
        f"{_VERSION}.gitVersion": kubernetes,
        f"{_VERSION}.gitMajor": major,
        f"{_VERSION}.gitMinor": minor,
    }
    programs = tuple(Program(name, package, stamps) for name, package in PACKAGES.items())
    cache = cache or cache_directory()
    return Binaries(module, programs, cache, kubernetes, "make cluster-up", ESTIMATE)
