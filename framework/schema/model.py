"""What one model's YAML file may say, once its layers are merged.

Kept apart from the environment's settings: these describe one Deployment and what goes with it.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from framework.schema.base import (
    Count,
    DnsLabel,
    IntOrPercent,
    Mappings,
    PortName,
    Positive,
    Settings,
    Texts,
)
from framework.schema.container import (
    Container,
    EnvSource,
    EnvValue,
    Image,
    Ports,
    Probes,
    Resources,
    Volume,
)


class Rollout(Settings):
    """The rolling-update budget, in the Deployment controller's own terms."""

    max_surge: IntOrPercent = "25%"
    """Pods above `replicas` during an update; a percentage rounds up."""
    max_unavailable: IntOrPercent = 0
    """Pods below `replicas` during an update; a percentage rounds down."""
    min_ready_seconds: Count = 0
    """Seconds a Pod must stay ready before it counts as available."""
    progress_deadline_seconds: Positive = 600
    """Seconds without progress until the rollout has failed."""
    revision_history_limit: Count = 5
    """Old ReplicaSets kept."""


class Security(Settings):
    """Security contexts of the Pod and its containers; the `restricted` standard by default."""

    run_as_non_root: bool = True
    """Refuse to start as root."""
    run_as_user: Count | None = None
    """User id; the image's own where it is not said."""
    run_as_group: Count | None = None
    """Group id."""
    fs_group: Count | None = None
    """Group that owns mounted volumes."""
    read_only_root_filesystem: bool = False
    """Mount the image read-only."""
    allow_privilege_escalation: bool = False
    """Let a process gain more rights than its parent."""
    drop_capabilities: Texts = ("ALL",)
    """Linux capabilities taken away."""
    add_capabilities: Texts = ()
    """Linux capabilities given."""
    seccomp: Literal["RuntimeDefault", "Unconfined"] = "RuntimeDefault"
    """System-call filter."""


class Scheduling(Settings):
    """Where the Pods may run."""

    node_selector: dict[str, str] = {}
    """Labels the node must have."""
    tolerations: Mappings = ()
    """Taints the Pods bear, as Kubernetes takes them."""
    affinity: dict[str, Any] = {}
    """Affinity as Kubernetes takes it."""
    spread: bool = True
    """Spread each version's Pods over zones and nodes where that is possible."""
    priority_class: str | None = None
    """Name of a PriorityClass."""
    runtime_class: str | None = None
    """Name of a RuntimeClass."""
    scheduler: str | None = None
    """Name of another scheduler."""
    host_network: bool = False
    """Use the node's own network."""
    host_ipc: bool = Field(default=False, alias="hostIPC")
    """Use the node's own IPC namespace."""


class ServiceAccount(Settings):
    """The identity the Pods run under."""

    name: DnsLabel | None = None
    """An existing account; one named as the model is made where this is not said."""
    annotations: dict[str, str] = {}
    """Annotations of the account made, such as a cloud role."""
    automount_token: bool = False
    """Mount its Kubernetes API token."""


class Service(Settings):
    """The Service in front of the stable and the canary Pods."""

    enabled: bool = True
    """Make one."""
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """How it is reached."""
    annotations: dict[str, str] = {}
    """Annotations."""


class Ingress(Settings):
    """An Ingress that leads to the Service."""

    host: str = Field(min_length=1)
    """Host name."""
    path: str = Field(default="/", pattern=r"^/")
    """Path prefix."""
    class_name: str | None = None
    """IngressClass; the cluster's default where it is not said."""
    port: PortName = "http"
    """The model's port it leads to."""
    tls_secret: str | None = None
    """Secret with the certificate."""
    annotations: dict[str, str] = {}
    """Annotations."""


class Autoscaling(Settings):
    """A HorizontalPodAutoscaler; it owns `replicas` then."""

    min_replicas: Positive
    """Never fewer Pods."""
    max_replicas: Positive
    """Never more Pods."""
    cpu: Positive | None = None
    """Target use of the requested CPU, in percent."""
    memory: Positive | None = None
    """Target use of the requested memory, in percent."""
    behavior: dict[str, Any] = {}
    """Scaling behaviour as Kubernetes takes it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"minReplicas {self.min_replicas} is above maxReplicas {self.max_replicas}; "
                "raise maxReplicas or lower minReplicas"
            )
        if self.cpu is None and self.memory is None:
            raise ValueError("has no target; give cpu or memory, in percent of the request")
        return self


class DisruptionBudget(Settings):
    """A PodDisruptionBudget over both tracks; exactly one of the two."""

    max_unavailable: IntOrPercent | None = None
    """Pods that node drains may take away at once."""
    min_available: IntOrPercent | None = None
    """Pods that node drains must leave."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.max_unavailable is None) == (self.min_available is None):
            raise ValueError(
                "give either maxUnavailable or minAvailable; null removes an inherited one"
            )
        return self


class ConfigFiles(Settings):
    """Files given to the model through a ConfigMap of content-hashed name."""

    mount_path: str = Field(pattern=r"^/")
    """Absolute folder in the container."""
    files: dict[str, str] = Field(min_length=1)
    """Text by file name."""


class Canary(Settings):
    """A candidate version beside the stable one."""

    size: IntOrPercent = 1
    """Pods of the candidate: a count, or a percentage of `replicas` rounded up; at least one."""
    mode: Literal["additional", "within"] = "additional"
    """`additional` to the stable Pods, or `within` their number."""
    candidate: dict[str, Any] | None = None
    """A partial model laid over the stable one; a canary runs while this is set."""


class Model(Settings):
    """One model of the catalog, merged for one environment."""

    owner: str = Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
    """The team that answers for it; letters, digits, '-', '_' and '.', for it becomes a label."""
    description: str = ""
    """One sentence."""
    links: dict[str, str] = {}
    """Dashboards, runbooks, model cards, by name."""
    enabled: bool = True
    """False where the model does not run."""
    image: Image
    """The serving image."""
    replicas: Count = 1
    """Pods of the stable track; the autoscaler's business where there is one."""
    command: Texts = ()
    """Replaces the image's entrypoint."""
    args: Texts = ()
    """Arguments."""
    env: dict[str, EnvValue] = {}
    """Environment variables by name: text, or from a Secret, ConfigMap or field."""
    env_from: dict[str, EnvSource] = {}
    """Whole Secrets or ConfigMaps as environment variables, by a name of your choice."""
    config: ConfigFiles | None = None
    """Files mounted from a ConfigMap; a change of one rolls the Pods."""
    ports: Ports = {}
    """Ports by name; a number is enough."""
    resources: Resources = Resources()
    """Requests and limits."""
    startup_seconds: Positive = 60
    """Seconds a Pod may take until it is ready; the startup probe's budget."""
    probes: Probes = Probes()
    """Startup, readiness and liveness."""
    volumes: dict[DnsLabel, Volume] = {}
    """Volumes by name."""
    init_containers: dict[DnsLabel, Container] = {}
    """Run one after the other before the model, in order of name."""
    sidecars: dict[DnsLabel, Container] = {}
    """Run beside the model, started before it."""
    pre_stop_seconds: Count = 5
    """Seconds a Pod goes on serving after it left the Service."""
    termination_grace_period_seconds: Positive = 30
    """Seconds from the end of service to the kill; more than `preStopSeconds`."""
    security: Security = Security()
    """Security contexts."""
    scheduling: Scheduling = Scheduling()
    """Where the Pods may run."""
    service_account: ServiceAccount = ServiceAccount()
    """The Pods' identity."""
    service: Service = Service()
    """The Service."""
    ingress: Ingress | None = None
    """The Ingress, where one is asked for."""
    autoscaling: Autoscaling | None = None
    """The autoscaler, where one is asked for."""
    disruption_budget: DisruptionBudget | None = None
    """The disruption budget, where it makes sense."""
    rollout: Rollout = Rollout()
    """The rolling-update budget."""
    canary: Canary = Canary()
    """The candidate and its size."""
    labels: dict[str, str] = {}
    """Labels of every object of the model."""
    annotations: dict[str, str] = {}
    """Annotations of the Deployment."""
    pod_annotations: dict[str, str] = {}
    """Annotations of the Pods."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pre_stop_seconds >= self.termination_grace_period_seconds:
            raise ValueError(
                f"terminationGracePeriodSeconds is {self.termination_grace_period_seconds}; "
                f"expected more than preStopSeconds, which is {self.pre_stop_seconds}"
            )
        if self.service.enabled and not self.ports:
            raise ValueError(
                "has a Service and no ports; name a port, or set service.enabled: false"
            )
        if self.ingress and self.ingress.port not in self.ports:
            raise ValueError(
                f'ingress.port is "{self.ingress.port}"; expected one of the ports: '
                f"{', '.join(sorted(self.ports)) or 'none'}"
            )
        return self
