"""What one environment's `environment.yaml` may say.

Kept apart from the model's settings: these describe where a whole catalog runs.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from framework.schema.base import Count, DnsLabel, Settings


class Cluster(Settings):
    """The cluster an environment runs on."""

    context: str = "local"
    """A kubeconfig context, or `local` for the control plane on this machine."""
    kubeconfig: str = "~/.kube/config"
    """The kubeconfig file that has the context; `local` has its own."""
    kubernetes_version: str = Field(default="1.33", pattern=r"^1\.\d+$")
    """The oldest server this environment may meet."""

    @property
    def local(self) -> bool:
        """True for the control plane on this machine."""
        return self.context == "local"

    @property
    def kubeconfig_path(self) -> str:
        """The kubeconfig to use; relative paths start at the project's root."""
        return ".cluster/kubeconfig" if self.local else self.kubeconfig

    @property
    def minor_version(self) -> int:
        """33 for "1.33"."""
        return int(self.kubernetes_version.partition(".")[2])


class Environment(Settings):
    """One environment: where the catalog runs, and what it lays over every model."""

    description: str = ""
    """One sentence."""
    namespace: DnsLabel
    """The Namespace; exactly one stack owns it."""
    protect: bool = False
    """Refuse `destroy`."""
    cluster: Cluster = Cluster()
    """Which cluster."""
    defaults: dict[str, Any] = {}
    """Weak: a profile or a model may say otherwise."""
    overrides: dict[str, Any] = {}
    """Strong: laid over every model."""
    capacity: dict[str, Count] = {}
    """Whole units of a resource that the cluster has, such as `nvidia.com/gpu`."""
