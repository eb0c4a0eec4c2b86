"""What one model's YAML file may say, once its layers are merged.

Kept apart from the environment's settings: these describe one Deployment and what goes with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Count, IntOrPercent, Positive, Settings, Texts
from framework.settings.container import (
    Container,
    Ports,
    Resources,
    Sidecar,
    TerminationMessagePolicy,
)
from framework.settings.image import Image
from framework.settings.names import (
    AbsolutePath,
    AnnotationKey,
    ConfigKey,
    IsoDate,
    LabelKey,
    LabelValue,
    Owner,
    ShortName,
)
from framework.settings.networking import Ingress, NetworkPolicy, Service
from framework.settings.probes import Lifecycle, Probes
from framework.settings.rules import find_model_diagnostics
from framework.settings.scaling import Autoscaling, DisruptionBudget, Rollout
from framework.settings.scheduling import Pod, Scheduling
from framework.settings.security import Security, ServiceAccount
from framework.settings.variables import Env, EnvFrom
from framework.settings.volumes import Volume

# What both tracks share, or the environment decides: a candidate would say it in vain.
SHARED = (
    "replicas",
    "enabled",
    "autoscaling",
    "disruptionBudget",
    "ingress",
    "networkPolicy",
    "service",
    "waivers",
)


class ConfigFiles(Settings):
    """Files given to the model through a ConfigMap of content-hashed name."""

    mount_path: AbsolutePath
    """Absolute folder in the container."""
    files: dict[ConfigKey, str] = Field(min_length=1)
    """Text by file name."""


class Canary(Settings):
    """A candidate version beside the stable one."""

    size: IntOrPercent = 1
    """Pods of the candidate: a count, or a percentage of `replicas` rounded up; at least one."""
    mode: Literal["additional", "within"] = "additional"
    """`additional` to the stable Pods, or `within` their number."""
    candidate: dict[str, Any] | None = None
    """A partial model laid over the stable one; a canary runs while this is set."""


class Waiver(Settings):
    """Leave to break one rule of the environment's policy for a while."""

    reason: str = Field(min_length=1)
    """Why, for those who read it later."""
    until: IsoDate
    """The last day it holds: `"2026-12-31"`, quoted."""


class Model(Checked):
    """One model of the catalog, merged for one environment."""

    owner: Owner
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
    working_dir: AbsolutePath | None = None
    """Folder the server starts in; the image's own where it is not said."""
    env: Env = {}
    """Environment variables by name: text, or from a Secret, ConfigMap or field."""
    env_from: EnvFrom = {}
    """Whole Secrets or ConfigMaps as environment variables, by a name of your choice."""
    config: ConfigFiles | None = None
    """Files mounted from a ConfigMap; a change of one rolls the Pods."""
    ports: Ports = {}
    """Ports by name; a number is enough."""
    resources: Resources = Resources.model_construct()
    """Requests and limits."""
    startup_seconds: Positive = 60
    """Seconds a Pod may take until it is ready; the startup probe's budget."""
    probes: Probes = Probes.model_construct()
    """Startup, readiness and liveness."""
    lifecycle: Lifecycle = Lifecycle.model_construct()
    """What runs after the server's start and before its stop; `preStopSeconds` is enough for
    most."""
    volumes: dict[ShortName, Volume] = {}
    """Volumes by name."""
    init_containers: dict[ShortName, Container] = {}
    """Run one after the other before the model, in order of name."""
    sidecars: dict[ShortName, Sidecar] = {}
    """Run beside the model, started before it."""
    pre_stop_seconds: Count = 5
    """Seconds a Pod goes on serving after it left the Service."""
    termination_grace_period_seconds: Positive = 30
    """Seconds from the end of service to the kill; more than `preStopSeconds`."""
    termination_message_path: AbsolutePath | None = None
    """File whose end is kept as the reason of a crash; Kubernetes' own where it is not said."""
    termination_message_policy: TerminationMessagePolicy | None = None
    """`FallbackToLogsOnError` keeps the end of the log where that file is empty."""
    security: Security = Security.model_construct()
    """Security contexts."""
    scheduling: Scheduling = Scheduling.model_construct()
    """Where the Pods may run."""
    pod: Pod = Pod.model_construct()
    """What else can be said of the Pods as a whole."""
    service_account: ServiceAccount = ServiceAccount.model_construct()
    """The Pods' identity."""
    service: Service = Service.model_construct()
    """The Service."""
    ingress: Ingress | None = None
    """The Ingress, where one is asked for."""
    network_policy: NetworkPolicy | None = None
    """Who may connect to the Pods and what they may connect to, where that is limited."""
    autoscaling: Autoscaling | None = None
    """The autoscaler, where one is asked for."""
    disruption_budget: DisruptionBudget | None = None
    """The disruption budget, where it makes sense."""
    rollout: Rollout = Rollout.model_construct()
    """The rolling-update budget."""
    canary: Canary = Canary.model_construct()
    """The candidate and its size."""
    labels: dict[LabelKey, LabelValue] = {}
    """Labels of every object of the model."""
    annotations: dict[AnnotationKey, str] = {}
    """Annotations of the Deployment."""
    pod_annotations: dict[AnnotationKey, str] = {}
    """Annotations of the Pods."""
    waivers: dict[str, Waiver] = {}
    """Rules of the environment's policy that this model may break, by the rule's id."""
    patch: dict[str, dict[str, Any]] = {}
    """What no setting says: partial manifests by kind (`Deployment`, `Service`, ...), laid over
    the rendered ones as a strategic merge patch. `Deployment` is of both tracks,
    `Deployment/canary` of the candidate's alone. null takes a field away; a kind set to null takes
    an inherited patch away. A field that Kubernetes has not, or a value of another type than it
    takes, is a fault."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """What contradicts across settings."""
        yield from find_model_diagnostics(self)
