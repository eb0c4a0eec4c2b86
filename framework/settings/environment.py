"""The settings of one environment: `environment.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Settings
from framework.settings.drift import Drift
from framework.settings.values import CapacityName, Count, DnsLabel, Form, Positive, Quantity, Texts

ProbeName = Literal["startup", "readiness", "liveness"]
PodSecurity = Literal["baseline", "restricted"]

# 1.29 is the oldest server that starts and stops sidecars in order. The newest is the one that the
# local cluster is built from, against which every manifest is tested. Newer servers work as well:
# the setting names the oldest server that the environment has.
OLDEST_MINOR, NEWEST_MINOR = 29, 37
KubernetesVersion = Annotated[
    str,
    Form(
        rf"1\.({'|'.join(map(str, range(OLDEST_MINOR, NEWEST_MINOR + 1)))})",
        f'a version from "1.{OLDEST_MINOR}" to "1.{NEWEST_MINOR}"',
    ),
]


class Cluster(Settings):
    """The cluster of the environment."""

    context: str = Field(default="local", min_length=1)
    """Name of a kubeconfig context, or `local` for the control plane on this machine."""
    kubeconfig: str = "~/.kube/config"
    """Path of the kubeconfig file with the context. `local` has its own file."""
    kubernetes_version: KubernetesVersion = "1.33"
    """The oldest Kubernetes version of the environment's servers. Newer features are errors."""

    feature_gates: dict[str, bool] = {}
    """Feature gates of the environment's servers that differ from the default of
    `kubernetesVersion`."""

    @property
    def local(self) -> bool:
        """True for the control plane on this machine."""
        return self.context == "local"

    @property
    def kubeconfig_path(self) -> str:
        """The path of the kubeconfig to use, relative to the root of the project."""
        return ".cluster/kubeconfig" if self.local else self.kubeconfig

    @property
    def minor_version(self) -> int:
        """The minor version: 33 for "1.33"."""
        return int(self.kubernetes_version.partition(".")[2])

    def has_feature(self, gate: str, default_since: int) -> bool:
        """Returns True if a feature gate is on; by default it is on from a minor version on."""
        return self.feature_gates.get(gate, self.minor_version >= default_since)


class Policy(Checked):
    """Each rule of a policy has an ID, which its errors name; the `waivers` of a model use it."""

    allowed_registries: Texts | None = None
    """Rule `registries`: allowed registries, or folders in them such as `ghcr.io/acme`. An image
    without a registry comes from `docker.io`."""
    forbid_latest: bool = False
    """Rule `latest`: every image must have a digest, or a tag other than `latest`."""
    require_digest: bool = False
    """Rule `digest`: every image must have a digest, also those of init containers and sidecars."""
    allowed_owners: Texts | None = None
    """Rule `owners`: teams that may own a model."""
    require_labels: Texts = ()
    """Rule `labels`: labels that every model must have."""
    require_requests: bool | Texts = False
    """Rule `requests`: resources that every container must request; true means cpu and memory. A
    limit is enough, because Kubernetes uses it as the request too."""
    require_limits: bool | Texts = False
    """Rule `limits`: resources that every container must limit; true means memory."""
    require_probes: bool | Annotated[tuple[ProbeName, ...], Field(strict=False)] = False
    """Rule `probes`: probes that every model must have; true means readiness."""
    min_replicas: Count | None = None
    """Rule `minReplicas`: smallest allowed `replicas` or `autoscaling.minReplicas`."""
    max_replicas: Positive | None = None
    """Rule `maxReplicas`: largest allowed `replicas` or `autoscaling.maxReplicas`. An additional
    canary does not count."""
    forbid_plain_secrets: bool = False
    """Rule `plainSecrets`: no setting may hold a password, a token or a key in plain text. Secrets
    are found by the names of variables, options and keys, and by their form, also within arguments
    and configuration files."""
    pod_security: PodSecurity | None = None
    """Rule `podSecurity`: the Pod Security Standard that every Pod must meet."""

    cluster_scoped_kinds: Texts = ()
    """Cluster-scoped kinds, such as ClusterRole, that `objects` of a model may have; also those of
    custom resources. This is not a rule, so it cannot be waived."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a minimum above the maximum."""
        least, most = self.min_replicas, self.max_replicas
        if least is not None and most is not None and least > most:
            message = f"is {least}; expected at most maxReplicas, which is {most}"
            yield SettingDiagnostic(("minReplicas",), message, others=(("maxReplicas",),))


class Environment(Settings):
    """One environment: where the catalog runs, and the settings that it gives to every model."""

    description: str = ""
    """One sentence about the environment."""
    namespace: DnsLabel
    """Name of the Namespace. Exactly one stack manages it."""
    promotes_to: DnsLabel | None = None
    """The environment that comes after this one, such as `staging` after dev. Lists and messages
    name the environments in this order."""
    protect: bool = False
    """Refuse the verb `destroy`."""
    cluster: Cluster = Cluster.model_construct()
    """The cluster."""
    defaults: dict[str, Any] = {}
    """Settings of every model that profiles and models override."""
    overrides: dict[str, Any] = {}
    """Settings of every model that override profiles and models."""
    capacity: dict[CapacityName, Quantity] = {}
    """Resources of the cluster for all models together: `cpu`, `memory`, `nvidia.com/gpu`, `pods`.
    They are compared with the requests of all Pods, also those of `objects`. A model with an
    autoscaler counts with its `maxReplicas`."""
    policy: Policy = Policy.model_construct()
    """Rules for every model. Those about images, resources and security hold for the Pods of
    `objects` too."""
    drift: Drift = Drift.model_construct()
    """Accepted differences, and controllers that may add to the environment's objects."""
