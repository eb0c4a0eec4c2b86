"""What a Pod's processes may do: the `restricted` Pod security standard unless a model says more.

Kept apart because the Pod says it for all containers, and a container may say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Count, Settings, Texts
from framework.settings.names import AnnotationKey, ObjectName

Seccomp = Literal["RuntimeDefault", "Unconfined"]


class Security(Checked):
    """Security contexts of the Pod and its containers; the `restricted` standard by default."""

    run_as_non_root: bool = True
    """Refuse to start as root."""
    run_as_user: Count | None = None
    """User id; the image's own where it is not said."""
    run_as_group: Count | None = None
    """Group id."""
    fs_group: Count | None = None
    """Group that owns mounted volumes."""
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = None
    """When the owner of mounted volumes is changed; `OnRootMismatch` starts large ones sooner."""
    supplemental_groups: Annotated[tuple[Count, ...], Field(strict=False)] = ()
    """Further group ids of the processes."""
    read_only_root_filesystem: bool = False
    """Mount the image read-only."""
    allow_privilege_escalation: bool = False
    """Let a process gain more rights than its parent."""
    privileged: bool = False
    """Run as if on the node itself; needs `allowPrivilegeEscalation`."""
    drop_capabilities: Texts = ("ALL",)
    """Linux capabilities taken away."""
    add_capabilities: Texts = ()
    """Linux capabilities given."""
    seccomp: Seccomp = "RuntimeDefault"
    """System-call filter."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """What the API server or the kubelet would refuse."""
        if self.run_as_non_root and self.run_as_user == 0:
            yield SettingDiagnostic(
                ("runAsUser",), "is 0; expected another user, or runAsNonRoot: false"
            )
        if self.privileged and not self.allow_privilege_escalation:
            yield SettingDiagnostic(
                ("privileged",), "is true; expected allowPrivilegeEscalation: true with it"
            )


class ContainerSecurity(Settings):
    """Where one container differs from the model's `security`."""

    run_as_non_root: bool | None = None
    """Refuse to start as root."""
    run_as_user: Count | None = None
    """User id."""
    run_as_group: Count | None = None
    """Group id."""
    read_only_root_filesystem: bool | None = None
    """Mount the image read-only."""
    allow_privilege_escalation: bool | None = None
    """Let a process gain more rights than its parent."""
    privileged: bool | None = None
    """Run as if on the node itself; needs `allowPrivilegeEscalation`."""
    drop_capabilities: Texts | None = None
    """Linux capabilities taken away."""
    add_capabilities: Texts | None = None
    """Linux capabilities given."""
    seccomp: Seccomp | None = None
    """System-call filter."""

    def over(self, security: Security) -> Security:
        """The model's security context with this container's differences."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return security.model_copy(update={k: v for k, v in own.items() if v is not None})


class ServiceAccount(Settings):
    """The identity the Pods run under."""

    name: ObjectName | None = None
    """An existing account; one named as the model is made where this is not said."""
    annotations: dict[AnnotationKey, str] = {}
    """Annotations of the account made, such as a cloud role."""
    automount_token: bool = False
    """Mount its Kubernetes API token."""
