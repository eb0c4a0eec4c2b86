"""Where the Pods may run, and what their nodes and network look like to them.

Kept apart because it is about Pods as a whole, not about any of their containers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Count, DnsLabel, Positive, Settings
from framework.settings.names import HostName, IpAddress, LabelKey, LabelValue, ObjectName


class Toleration(Checked):
    """A taint the Pods bear."""

    key: LabelKey | None = None
    """The taint's key; every key with operator Exists where it is not said."""
    operator: Literal["Exists", "Equal"] | None = None
    """`Equal` compares `value`, and is meant where it is not said."""
    value: str | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; every effect where it is not said."""
    toleration_seconds: Count | None = None
    """Seconds a Pod stays on a node with a NoExecute taint; for ever where it is not said."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """What the API server refuses."""
        if self.key is None and self.operator != "Exists":
            yield SettingDiagnostic((), "has no key; expected one, or operator: Exists")
        if self.operator == "Exists" and self.value:
            yield SettingDiagnostic(("value",), "has no meaning with operator Exists; remove it")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            yield SettingDiagnostic(
                ("tolerationSeconds",), "goes with effect: NoExecute alone; remove it"
            )


class Spread(Settings):
    """How evenly the Pods spread over one kind of place."""

    max_skew: Positive = 1
    """Pods that one place may have more than another."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """Whether a Pod that cannot be spread so runs all the same."""


class Scheduling(Settings):
    """Where the Pods may run."""

    node_selector: dict[LabelKey, LabelValue] = {}
    """Labels the node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(strict=False)] = ()
    """Taints the Pods bear."""
    affinity: dict[str, Any] = {}
    """Affinity as Kubernetes takes it."""
    spread: bool = True
    """Spread each version's Pods over zones and nodes where that is possible."""
    topology_spread: dict[LabelKey, Spread] = {}
    """Spread them otherwise, by the node label that tells places apart."""
    priority_class: ObjectName | None = None
    """Name of a PriorityClass."""
    runtime_class: ObjectName | None = None
    """Name of a RuntimeClass."""
    scheduler: ObjectName | None = None
    """Name of another scheduler."""
    host_network: bool = False
    """Use the node's own network."""
    host_ipc: bool = Field(default=False, alias="hostIPC")
    """Use the node's own IPC namespace."""
    host_pid: bool = Field(default=False, alias="hostPID")
    """See the node's own processes."""


class Pod(Settings):
    """What else can be said of the Pods as a whole."""

    hostname: DnsLabel | None = None
    """Host name of every Pod; its own name where it is not said."""
    subdomain: DnsLabel | None = None
    """Name of a headless Service under which the Pods are found by host name."""
    host_aliases: dict[
        IpAddress, Annotated[tuple[HostName, ...], Field(strict=False, min_length=1)]
    ] = {}
    """Names in the Pods' hosts file, by address."""
    dns_policy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] | None = None
    """Where the Pods look names up; `ClusterFirst` where it is not said."""
    dns_config: dict[str, Any] = {}
    """Name servers and searches as Kubernetes takes them."""
    enable_service_links: bool | None = None
    """Give the containers a variable for every Service; false starts faster in a large
    Namespace."""
    share_process_namespace: bool = False
    """Let the containers of a Pod see each other's processes."""
