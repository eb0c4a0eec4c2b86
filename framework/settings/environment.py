"""What one environment's `environment.yaml` may say.

Kept apart from the model's settings: these describe where a whole catalog runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Count, DnsLabel, Positive, Quantity, Settings, Texts
from framework.settings.names import CapacityName, Form

ProbeName = Literal["startup", "readiness", "liveness"]
PodSecurity = Literal["baseline", "restricted"]

# The oldest server that runs sidecars in their order, and the one the local cluster is built from,
# whose objects every render is held to. Of a newer server than that nothing is known, nor lost: a
# version is the oldest that an environment may meet.
OLDEST_MINOR, NEWEST_MINOR = 29, 37
KubernetesVersion = Annotated[
    str,
    Form(
        rf"1\.({'|'.join(map(str, range(OLDEST_MINOR, NEWEST_MINOR + 1)))})",
        f'a version from "1.{OLDEST_MINOR}" to "1.{NEWEST_MINOR}"',
    ),
]


class Cluster(Settings):
    """The cluster an environment runs on."""

    context: str = Field(default="local", min_length=1)
    """A kubeconfig context, or `local` for the control plane on this machine."""
    kubeconfig: str = "~/.kube/config"
    """The kubeconfig file that has the context; `local` has its own."""
    kubernetes_version: KubernetesVersion = "1.33"
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


class Policy(Checked):
    """What a platform team asks of every model of an environment.

    Each rule has a name, told with every fault, by which a model's `waivers` can put it off.
    """

    allowed_registries: Texts | None = None
    """Rule `registries`: where every image must come from, a registry or a folder of one, such as
    `ghcr.io/acme`; an image that names no registry comes from `docker.io`."""
    forbid_latest: bool = False
    """Rule `latest`: no image has the tag `latest`, or neither tag nor digest."""
    require_digest: bool = False
    """Rule `digest`: every image, init containers and sidecars too, is named by its digest."""
    allowed_owners: Texts | None = None
    """Rule `owners`: the teams that may own a model."""
    require_labels: Texts = ()
    """Rule `labels`: labels that every model has."""
    require_requests: bool | Texts = False
    """Rule `requests`: resources that every container requests; true is cpu and memory. A limit
    counts, for Kubernetes takes it as the request too."""
    require_limits: bool | Texts = False
    """Rule `limits`: resources that every container limits; true is memory alone."""
    require_probes: bool | Annotated[tuple[ProbeName, ...], Field(strict=False)] = False
    """Rule `probes`: probes that every model has; true is readiness."""
    min_replicas: Count | None = None
    """Rule `minReplicas`: Pods that every model has at least; of an autoscaler, its minimum."""
    max_replicas: Positive | None = None
    """Rule `maxReplicas`: Pods that every model has at most, beside an additional canary; of an
    autoscaler, its maximum."""
    pod_security: PodSecurity | None = None
    """Rule `podSecurity`: the Pod Security Standard that every Pod keeps."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Limits that cross."""
        least, most = self.min_replicas, self.max_replicas
        if least is not None and most is not None and least > most:
            message = f"is {least}; expected at most maxReplicas, which is {most}"
            yield SettingDiagnostic(("minReplicas",), message, others=(("maxReplicas",),))


class Environment(Settings):
    """One environment: where the catalog runs, and what it lays over every model."""

    description: str = ""
    """One sentence."""
    namespace: DnsLabel
    """The Namespace; exactly one stack owns it."""
    promotes_to: DnsLabel | None = None
    """The environment that comes after this one, such as `staging` after dev. Lists and messages
    name the environments in this order."""
    protect: bool = False
    """Refuse `destroy`."""
    cluster: Cluster = Cluster.model_construct()
    """Which cluster."""
    defaults: dict[str, Any] = {}
    """Weak: a profile or a model may say otherwise."""
    overrides: dict[str, Any] = {}
    """Strong: laid over every model."""
    capacity: dict[CapacityName, Quantity] = {}
    """What the cluster has for all models together, by resource: `cpu`, `memory`, `nvidia.com/gpu`,
    and `pods`. Requests count; a model with an autoscaler counts at its largest."""
    policy: Policy = Policy.model_construct()
    """What every model must keep."""
