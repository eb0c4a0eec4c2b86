"""The data types between the program and the engine: registrations, and the results of them.

Imports no Pulumi: commands that run no program start half a second sooner without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from framework.engines.urns import OBJECT_PREFIX, PROVIDER_TYPE, STACK_TYPE


@dataclass(frozen=True)
class Alias:
    """A former name of a resource: a whole `urn`, or the parts that differ."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    no_parent: bool = False


@dataclass(frozen=True)
class Registration:
    """A resource that the program registers; `inputs` may hold secrets and unknowns."""

    type: str
    name: str
    custom: bool
    parent: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: tuple[Alias, ...] = ()
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    timeouts: Mapping[str, float] = field(default_factory=dict)
    version: str = ""

    @property
    def is_stack(self) -> bool:
        """True for the Stack itself."""
        return self.type == STACK_TYPE

    @property
    def is_provider(self) -> bool:
        """True for a kubernetes Provider."""
        return self.type == PROVIDER_TYPE

    @property
    def is_object(self) -> bool:
        """True for an object of a cluster."""
        return self.custom and self.type.startswith(OBJECT_PREFIX)

    @property
    def needs(self) -> tuple[str, ...]:
        """The URNs of the resources that this one needs, without its provider."""
        urns = [self.parent, *self.dependencies]
        for dependencies in self.property_dependencies.values():
            urns.extend(dependencies)
        return tuple(dict.fromkeys(urn for urn in urns if urn))


@dataclass(frozen=True)
class Answer:
    """The answer to a registration. `outputs` may hold secrets. `id` is "" while it is unknown."""

    urn: str
    id: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False


class ProgramHandler(Protocol):
    """Decides about the program's resources. Called from many threads at once."""

    def register(self, registration: Registration) -> Answer:
        """Handles one resource while the program waits. Answers with `failed` if it failed."""

    def register_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Takes the outputs of a component or the Stack, after all its children."""

    def refuse(self, reason: str) -> None:
        """Takes the reason why a part of the program needs the CLI."""

    def log(self, severity: str, message: str) -> None:
        """Takes a message; `severity` is debug, info, warning or error."""
