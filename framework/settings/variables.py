"""Environment variables: plain text, or read from a Secret, a ConfigMap, the Pod or the container.

Kept apart because a value may be written in five ways, told apart by the keys it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, EnvText, Quantity, Settings
from framework.settings.names import (
    ConfigKey,
    EnvName,
    EnvPrefix,
    FieldPath,
    ObjectName,
    ResourceField,
    ShortName,
)


class SecretValue(Settings):
    """An environment variable read from a Secret."""

    secret: ObjectName
    """The Secret's name."""
    key: ConfigKey
    """The key in it."""
    optional: bool = False
    """Start without it where it does not exist."""


class ConfigMapValue(Settings):
    """An environment variable read from a ConfigMap."""

    config_map: ObjectName
    """The ConfigMap's name."""
    key: ConfigKey
    """The key in it."""
    optional: bool = False
    """Start without it where it does not exist."""


class FieldValue(Settings):
    """An environment variable read from the Pod itself."""

    field: FieldPath
    """A Pod field: `status.podIP`, `metadata.labels['x']`."""


class ResourceValue(Settings):
    """An environment variable read from a container's requests or limits."""

    resource: ResourceField
    """`limits.memory`, `requests.cpu`, ..."""
    container: ShortName | None = None
    """Another container of the Pod; its own where it is not said."""
    divisor: Quantity | None = None
    """The unit it is counted in: `1Mi`, `1m`; bytes or whole cores where it is not said."""


def _env_kind(value: Any) -> str:
    if not isinstance(value, dict | Settings):
        return "text"
    keys = value if isinstance(value, dict) else type(value).model_fields
    for key, kind in (("configMap", "configMap"), ("field", "field"), ("resource", "resource")):
        if key in keys:
            return kind
    return "secret"


EnvValue = Annotated[
    Annotated[EnvText, Tag("text")]
    | Annotated[SecretValue, Tag("secret")]
    | Annotated[ConfigMapValue, Tag("configMap")]
    | Annotated[FieldValue, Tag("field")]
    | Annotated[ResourceValue, Tag("resource")],
    Discriminator(_env_kind),
]
Env = dict[EnvName, EnvValue]


class EnvSource(Checked):
    """A Secret or ConfigMap whose every key becomes an environment variable."""

    secret: ObjectName | None = None
    """The Secret's name; this or `configMap`."""
    config_map: ObjectName | None = None
    """The ConfigMap's name; this or `secret`."""
    prefix: EnvPrefix = ""
    """Put before every key."""
    optional: bool = False
    """Start without it where it does not exist."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Not exactly one source."""
        if (self.secret is None) == (self.config_map is None):
            message = "has both secret and configMap, or neither; give one of them"
            yield SettingDiagnostic((), message, others=(("secret",), ("configMap",)))


EnvFrom = dict[str, EnvSource]
