"""The Pod as a whole: where it runs, its DNS and host names, and what its processes may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Settings, find_not_one, one_of
from framework.settings.values import (
    AnnotationKey,
    Count,
    Definition,
    DnsLabel,
    DnsName,
    IpAddress,
    LabelKey,
    LabelValue,
    ObjectName,
    Positive,
    ShortName,
    Texts,
)

Seccomp = Literal["RuntimeDefault", "Unconfined"]


class Toleration(Checked):
    """A taint that the Pods tolerate."""

    key: LabelKey | None = None
    """Key of the taint. Default, with operator Exists: every key."""
    operator: Literal["Exists", "Equal"] | None = None
    """`Equal` compares `value`. Default: `Equal` (Kubernetes)."""
    value: str | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Default: every effect."""
    toleration_seconds: Count | None = None
    """Seconds that a Pod stays on a node with a NoExecute taint. Default: for ever."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports what the API server refuses."""
        if self.key is None and self.operator != "Exists":
            yield SettingDiagnostic((), "has no key; expected one, or operator: Exists")
        if self.operator == "Exists" and self.value:
            yield SettingDiagnostic(("value",), "has no effect with operator Exists; remove it")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            yield SettingDiagnostic(
                ("tolerationSeconds",), "is allowed with effect: NoExecute only; remove it"
            )


class Spread(Settings):
    """Spreads the Pods over groups of nodes. Nodes with the same value of one label are a group."""

    max_skew: Positive = 1
    """Largest allowed difference between the numbers of Pods in two groups."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """Placement of a Pod that cannot be spread evenly: anyway, or not at all."""


class Scheduling(Settings):
    """The nodes that the Pods may run on."""

    node_selector: dict[LabelKey, LabelValue] = {}
    """Labels that the node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(strict=False)] = ()
    """Taints that the Pods tolerate."""
    affinity: Annotated[dict[str, Any], Definition("Affinity")] = {}
    """Affinity, in the form of Kubernetes."""
    spread: bool = True
    """Spread the Pods of each version over zones and nodes where possible."""
    topology_spread: dict[LabelKey, Spread] = {}
    """Other ways to spread the Pods, by the node label whose values are compared."""
    priority_class: ObjectName | None = None
    """Name of a PriorityClass."""
    runtime_class: ObjectName | None = None
    """Name of a RuntimeClass."""
    scheduler: ObjectName | None = None
    """Name of another scheduler."""
    host_network: bool = False
    """Use the network of the node."""
    host_ipc: bool = Field(default=False, alias="hostIPC")
    """Use the IPC namespace of the node."""
    host_pid: bool = Field(default=False, alias="hostPID")
    """Use the process ID namespace of the node."""


class ResourceClaim(Checked):
    """A claim of dynamic resource allocation: exactly one of the two names."""

    replaces = one_of("resourceClaimName", "resourceClaimTemplateName")

    resource_claim_name: ObjectName | None = None
    """Name of an existing ResourceClaim, which all Pods share."""
    resource_claim_template_name: ObjectName | None = None
    """Name of a ResourceClaimTemplate, from which each Pod gets a claim of its own."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a claim with both names, or neither."""
        yield from find_not_one(self, "resource_claim_name", "resource_claim_template_name")


class Pod(Checked):
    """Further settings of the Pods as a whole."""

    hostname: DnsLabel | None = None
    """Host name of every Pod. Default: the name of the Pod."""
    subdomain: DnsLabel | None = None
    """Name of a headless Service, under which the Pods can be found by host name."""
    host_aliases: dict[
        IpAddress, Annotated[tuple[DnsName, ...], Field(strict=False, min_length=1)]
    ] = {}
    """Entries of the hosts file of the Pods: host names by IP address."""
    dns_policy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] | None = None
    """DNS servers that the Pods use. Default: `ClusterFirst` (Kubernetes)."""
    dns_config: Annotated[dict[str, Any], Definition("PodDNSConfig")] = {}
    """DNS servers and search domains, in the form of Kubernetes."""
    enable_service_links: bool | None = None
    """Give the containers environment variables for every Service. false makes Pods start faster
    in a Namespace with many Services. Default: true (Kubernetes)."""
    share_process_namespace: bool = False
    """Let the containers of a Pod see each other's processes."""
    resource_claims: dict[ShortName, ResourceClaim] = {}
    """Claims of dynamic resource allocation by a name of your choice. Containers use them in
    `resources.claims` (Kubernetes 1.34 or newer)."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports Pods without any DNS server."""
        if self.dns_policy == "None" and not self.dns_config.get("nameservers"):
            message = "is None; expected dnsConfig.nameservers with it"
            yield SettingDiagnostic(("dnsPolicy",), message)


class Security(Checked):
    """Security contexts of the Pod and its containers. `standard` gives the defaults; any other
    setting overrides it."""

    standard: Literal["none", "baseline", "restricted"] = "restricted"
    """Defaults that meet a Pod Security Standard. `restricted`: runAsNonRoot, no privilege
    escalation, no capabilities, seccomp RuntimeDefault. `baseline`: only seccomp RuntimeDefault,
    so that an image may run as root. `none`: no default, only what is set here is rendered."""
    run_as_non_root: bool | None = None
    """Refuse to start as root. Default: true with `standard: restricted`."""
    run_as_user: Count | None = None
    """User ID of the processes. Default: that of the image."""
    run_as_group: Count | None = None
    """Group ID of the processes."""
    fs_group: Count | None = None
    """Group ID that owns mounted volumes."""
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = None
    """When the group of mounted volumes is changed. With `OnRootMismatch`, Pods with large volumes
    start faster. Default: `Always` (Kubernetes)."""
    supplemental_groups: Annotated[tuple[Count, ...], Field(strict=False)] = ()
    """Further group IDs of the processes."""
    read_only_root_filesystem: bool | None = None
    """Mount the image read-only. Default: false (Kubernetes)."""
    allow_privilege_escalation: bool | None = None
    """Let a process get more privileges than its parent. Default: false with
    `standard: restricted`."""
    privileged: bool = False
    """Run with all privileges of the node. Needs `allowPrivilegeEscalation`."""
    drop_capabilities: Texts | None = None
    """Linux capabilities to drop. Default: `[ALL]` with `standard: restricted`."""
    add_capabilities: Texts = ()
    """Linux capabilities to add."""
    seccomp: Seccomp | None = None
    """Seccomp profile. Default: `RuntimeDefault`, unless `standard` is none."""

    def resolve(self) -> Security:
        """Returns these settings with the defaults of `standard` where they say nothing."""
        defaults = _STANDARDS[self.standard]
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return self.model_copy(update=missing)

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports what the API server or the kubelet would refuse."""
        resolved = self.resolve()
        if resolved.run_as_non_root and self.run_as_user == 0:
            yield SettingDiagnostic(
                ("runAsUser",), "is 0; expected another user, or runAsNonRoot: false"
            )
        # The API server refuses an explicit false, and accepts the field's absence.
        if self.privileged and resolved.allow_privilege_escalation is False:
            yield SettingDiagnostic(
                ("privileged",), "is true; expected allowPrivilegeEscalation: true with it"
            )
        # The API server compares this spelling alone; Kubernetes leaves out "CAP_".
        if "CAP_SYS_ADMIN" in self.add_capabilities and not self.allow_privilege_escalation:
            yield SettingDiagnostic(
                ("addCapabilities",),
                "has CAP_SYS_ADMIN; expected allowPrivilegeEscalation: true with it",
            )


_STANDARDS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "baseline": {"seccomp": "RuntimeDefault"},
    "restricted": {
        "run_as_non_root": True,
        "allow_privilege_escalation": False,
        "drop_capabilities": ("ALL",),
        "seccomp": "RuntimeDefault",
    },
}


class ContainerSecurity(Settings):
    """Settings in which one container differs from `security` of the model."""

    run_as_non_root: bool | None = None
    """Refuse to start as root."""
    run_as_user: Count | None = None
    """User ID of the processes."""
    run_as_group: Count | None = None
    """Group ID of the processes."""
    read_only_root_filesystem: bool | None = None
    """Mount the image read-only."""
    allow_privilege_escalation: bool | None = None
    """Let a process get more privileges than its parent."""
    privileged: bool | None = None
    """Run with all privileges of the node. Needs `allowPrivilegeEscalation`."""
    drop_capabilities: Texts | None = None
    """Linux capabilities to drop."""
    add_capabilities: Texts | None = None
    """Linux capabilities to add."""
    seccomp: Seccomp | None = None
    """Seccomp profile."""

    def over(self, security: Security) -> Security:
        """Returns `security` of the model, overridden by what this container sets."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return security.model_copy(update={k: v for k, v in own.items() if v is not None})


class ServiceAccount(Settings):
    """The ServiceAccount of the Pods."""

    name: ObjectName | None = None
    """Name of an existing ServiceAccount. Default: one with the name of the model is created."""
    annotations: dict[AnnotationKey, str] = {}
    """Annotations of the created ServiceAccount, such as a cloud role."""
    automount_token: bool = False
    """Mount a token for the Kubernetes API."""
