"""Where a container's image comes from.

Kept apart because policies, bumps and promotions read nothing but this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked
from framework.settings.names import Digest, ObjectName, Repository, Tag

PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Image(Checked):
    """Where a container's image comes from."""

    repository: Repository
    """Registry and repository, without tag: `docker.io/seldonio/mlserver`."""
    tag: Tag | None = None
    """Tag; quote it where YAML would read a number."""
    digest: Digest | None = None
    """Digest, `sha256:` and 64 hex digits; wins over the tag."""
    pull_policy: PullPolicy = "IfNotPresent"
    """When the kubelet pulls."""
    pull_secrets: Annotated[tuple[ObjectName, ...], Field(strict=False)] = ()
    """Names of Secrets of type kubernetes.io/dockerconfigjson."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Neither tag nor digest."""
        if not self.tag and not self.digest:
            yield SettingDiagnostic((), "has neither tag nor digest; give one")

    @property
    def reference(self) -> str:
        """The image as Kubernetes takes it: `repository:tag` or `repository:tag@digest`."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")
