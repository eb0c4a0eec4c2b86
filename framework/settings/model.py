"""The settings of one model, once its layers are merged, and the rules that span them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.core.forms import FormTree
from framework.core.quantities import quantity_value
from framework.settings.base import Settings
from framework.settings.container import Container, Image, Resources, ServingContainer, Sidecar
from framework.settings.foreign_names import EXAMPLES
from framework.settings.forms import build_forms
from framework.settings.networking import Ingress, NetworkPolicy, Service
from framework.settings.objects import Objects, find_object_shapes
from framework.settings.pod import Pod, Scheduling, Security, ServiceAccount
from framework.settings.pod_rules import find_pod_diagnostics
from framework.settings.probes import Probe, active, guaranteed_seconds, startup_failures
from framework.settings.scaling import Autoscaling, DisruptionBudget, Rollout
from framework.settings.service_rules import find_service_diagnostics
from framework.settings.values import (
    AnnotationKey,
    Count,
    IntOrPercent,
    IsoDate,
    LabelKey,
    LabelValue,
    Owner,
    Positive,
    ShortName,
    Variable,
    VariableName,
)
from framework.settings.volumes import Volume

# Settings that both tracks share, or that the environment decides: a candidate cannot set them.
SHARED = (
    "replicas",
    "enabled",
    "autoscaling",
    "disruptionBudget",
    "ingress",
    "networkPolicy",
    "objects",
    "previousName",
    "service",
    "services",
    "waivers",
)


class Canary(Settings):
    """A candidate version that runs beside the stable one."""

    size: IntOrPercent = 1
    """Pods of the candidate: a number, or a percentage of `replicas`, rounded up; at least one."""
    mode: Literal["additional", "within"] = "additional"
    """`additional`: beside the stable Pods. `within`: the stable track shrinks by as many Pods."""
    candidate: dict[str, Any] | None = None
    """Settings that override those of the stable track. A canary runs while this is set."""


class Waiver(Settings):
    """Permission to break one rule of the environment's policy until a date."""

    reason: str = Field(min_length=1)
    """Reason for the waiver."""
    until: IsoDate
    """Last day of the waiver: `"2026-12-31"`, quoted."""


class Model(ServingContainer):
    """One model of the catalog in one environment."""

    owner: Owner
    """Team that is responsible for the model. A label value: letters, digits, '-', '_', '.'."""
    description: str = ""
    """One sentence about the model."""
    links: dict[str, str] = {}
    """Links to dashboards, runbooks, model cards, by name."""
    variables: dict[VariableName, Variable] = {}
    """Values of your own that other settings refer to, as in `${variables.weights}`. They render
    nothing by themselves."""
    previous_name: ShortName | None = None
    """Name that the model had before its file was renamed. `up` then creates each object under the
    new name, and deletes the old one when the new one is ready. If the new Deployment fails, the
    old one continues to serve. A PersistentVolumeClaim keeps its name and data, and the renamed
    model gets a new one. To keep using the old one, name it in `volumes.<name>.claim.name`. Remove
    the setting once every environment has been deployed."""
    enabled: bool = True
    """Set to false where the model must not run."""
    image: Image
    """The container image."""
    replicas: Count = 1
    """Number of Pods of the stable track. Ignored while `autoscaling` is set."""
    gpus: Positive | None = None
    """Number of GPUs of a Pod. If it is set, `resources` of the model's container are for one GPU,
    and all of them, also CPU and memory, are multiplied by this number."""
    startup_seconds: Positive = 60
    """Seconds that a Pod may take to start. The `failureThreshold` of the startup probe is computed
    from it, unless it is set. For example, 90 seconds with a period of 20 seconds give 6 failures:
    the first try may come at once, so the sixth comes after 100 seconds. The forecast and the check
    of `progressDeadlineSeconds` count these seconds also without a startup probe."""
    volumes: dict[ShortName, Volume] = {}
    """Volumes by name, each with exactly one source."""
    init_containers: dict[ShortName, Container] = {}
    """Init containers by name. They run one after the other, sorted by name, each
    to completion, before the model starts."""
    sidecars: dict[ShortName, Sidecar] = {}
    """Sidecars by name. They run beside the model, start before it and stop after it."""
    pre_stop_seconds: Count = 5
    """Seconds that a Pod keeps serving after it was removed from the Service."""
    termination_grace_period_seconds: Positive = 30
    """Seconds that a Pod has to stop before it is killed; more than `preStopSeconds`."""
    security: Security = Security.model_construct()
    """Security contexts of the Pod and its containers."""
    scheduling: Scheduling = Scheduling.model_construct()
    """The nodes that the Pods may run on."""
    pod: Pod = Pod.model_construct()
    """Further settings of the Pods as a whole."""
    service_account: ServiceAccount = ServiceAccount.model_construct()
    """The ServiceAccount of the Pods."""
    service: Service = Service.model_construct()
    """A Service of the model."""
    services: dict[ShortName, Service] = {}
    """Further Services of the model, by a name of your choice: a headless one, an external one, or
    one for each track."""
    ingress: Ingress | None = None
    """An Ingress that sends requests to a Service of the model."""
    network_policy: NetworkPolicy | None = None
    """A NetworkPolicy for the Pods of both tracks."""
    autoscaling: Autoscaling | None = None
    """A HorizontalPodAutoscaler."""
    disruption_budget: DisruptionBudget | None = None
    """A PodDisruptionBudget for the Pods of both tracks."""
    rollout: Rollout = Rollout.model_construct()
    """The rolling-update budget."""
    canary: Canary = Canary.model_construct()
    """A candidate version that runs beside the stable one."""
    labels: dict[LabelKey, LabelValue] = {}
    """Labels of all objects of the model."""
    annotations: dict[AnnotationKey, str] = {}
    """Annotations of the Deployment."""
    pod_annotations: dict[AnnotationKey, str] = {}
    """Annotations of the Pods."""
    pod_labels: dict[LabelKey, LabelValue] = {}
    """Labels of the Pods alone, beside `labels`."""
    waivers: dict[str, Waiver] = {}
    """Rules of the environment's policy that the model may break, by the ID of the rule."""
    objects: Objects = {}
    """Further objects of the model in the form of Kubernetes, each by a key of your choice: a
    ServiceMonitor, an HTTPRoute, a Role. `metadata.name` is by default `<model>-<key>`; namespace
    and labels are added. The objects are created before the Deployment, and deleted when the model
    or their key is removed; a PersistentVolumeClaim is kept. Both tracks share them. `up` does not
    wait for their Pods, such as those of a StatefulSet or a Job, and `status` does not list them.
    `validate` checks the fields of Kubernetes' own kinds. Those of custom resources are checked
    only by the server, in the dry run of `preview`. Secrets are refused, since the files are not
    encrypted."""
    patch: dict[str, dict[str, Any]] = {}
    """Strategic merge patches for the rendered manifests, for fields that no setting covers. The
    key is a kind, such as `Deployment`, for all objects of the kind; or one object:
    `Deployment/stable` or `Deployment/canary` for one track, `Service/<key>` for the Service of
    `services.<key>`, `PersistentVolumeClaim/<volume>` for one claim, or `<kind>/<name>` for the
    object of this name. In a patch, null removes a field. As the patch of a kind, null removes an
    inherited patch. Fields that do not exist in Kubernetes, and values of the wrong type, are
    errors."""

    @property
    def total_resources(self) -> Resources:
        """Requests and limits of the model's container, with those of all its GPUs."""
        return self.resources if self.gpus is None else self.resources.multiplied(self.gpus)

    def mount_paths(self) -> dict[tuple[str, ...], str]:
        """Returns the path of every mount of the model's own container, by its setting."""
        volumes: dict[tuple[str, ...], str] = {
            ("volumes", name, "mountPath"): volume.mount_path
            for name, volume in self.volumes.items()
            if volume.mount_path
        }
        return {**volumes, **super().mount_paths()}

    @property
    def startup_probe(self) -> Probe | None:
        """The startup probe of the model's container: by default, a copy of its readiness probe.

        `startupSeconds` decides how often it may fail, unless it has a failureThreshold of its own:
        90 seconds with a period of 20 are 6 failures.
        """
        own = self.probes.startup
        if own and not own.enabled:
            return None
        probe = self.probes.own_startup or active(self.probes.readiness)
        if probe is None or (own and "failure_threshold" in own.model_fields_set):
            return probe
        failures = startup_failures(self.startup_seconds, probe.period_seconds)
        return probe.model_copy(update={"failure_threshold": failures, "success_threshold": 1})

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports settings that contradict each other, or that Kubernetes would refuse."""
        yield from super().find_diagnostics()
        yield from _find_startup_diagnostics(self)
        yield from _find_gpu_diagnostics(self)
        yield from find_object_shapes(self.objects)
        yield from find_pod_diagnostics(self)
        yield from find_service_diagnostics(self)


@cache
def model_forms() -> FormTree:
    """Returns the forms of the settings of a model, and of its candidate."""
    tree = build_forms(Model)
    names = {field.alias or name for name, field in Model.model_fields.items()}
    for key in EXAMPLES.keys() & names:
        tree.below.setdefault(key, FormTree()).example = EXAMPLES[key]
    # Any setting of a model may be set for the candidate.
    tree.below.setdefault("canary", FormTree()).below["candidate"] = tree
    return tree


def _find_startup_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports two different limits of one start, and a liveness probe that would end it."""
    if "startup_seconds" not in model.model_fields_set:
        return
    probe, own, seconds = model.startup_probe, model.probes.startup, model.startup_seconds
    if probe and own and "failure_threshold" in own.model_fields_set:
        failures = startup_failures(seconds, probe.period_seconds)
        if probe.failure_threshold != failures:
            allowed = guaranteed_seconds(probe.failure_threshold, probe.period_seconds)
            yield SettingDiagnostic(
                ("probes", "startup", "failureThreshold"),
                f"is {probe.failure_threshold}, and its last try comes after {allowed} s, but "
                f"startupSeconds is {seconds}; expected {failures}, or only one of the two: null "
                "removes an inherited one",
                others=(("startupSeconds",),),
            )
    liveness = active(model.probes.liveness)
    if probe is None and liveness:
        # A startup probe holds the liveness probe back. Without one, nothing does.
        tries = guaranteed_seconds(liveness.failure_threshold, liveness.period_seconds)
        if liveness.initial_delay_seconds + tries < seconds:
            yield SettingDiagnostic(
                ("probes", "liveness"),
                f"restarts the container after {liveness.initial_delay_seconds + tries} s, but "
                f"startupSeconds is {seconds}, and no startup probe holds it back; expected a "
                "startup probe, or a larger initialDelaySeconds",
                others=(("startupSeconds",), ("probes", "startup")),
            )


def _find_gpu_diagnostics(model: Model) -> Iterator[SettingDiagnostic]:
    """Reports resources that are not those of one GPU, although `gpus` multiplies them.

    Other devices, such as network cards, may have any number for each GPU: one device with an
    amount of 1 is enough.
    """
    devices = {name: limit for name, limit in model.resources.limits.items() if "/" in name}
    if model.gpus is None or any(quantity_value(limit) == 1 for limit in devices.values()):
        return
    if not devices:
        message = "has no GPU to multiply; expected it in resources.limits, as nvidia.com/gpu: 1"
        yield SettingDiagnostic(("gpus",), message, others=(("resources", "limits"),))
        return
    name, limit = min(devices.items())
    yield SettingDiagnostic(
        ("resources", "limits", name),
        f"is {limit}, and gpus multiplies it by {model.gpus}; expected 1, because the resources "
        "are those of one GPU, or no gpus",
        others=(("gpus",),),
    )
