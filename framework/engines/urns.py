"""Names of resources: URNs and provider references.

Kept apart because program, state, targets and events must take them to pieces in the same way. The
Stack adds no type prefix to its children (the SDK's MockMonitor is wrong here).
"""

from __future__ import annotations

from typing import NamedTuple

STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_TYPE = "pulumi:providers:kubernetes"
OBJECT_PREFIX = "kubernetes:"


class Urn(NamedTuple):
    """A URN in its parts; `qualified` is `<parent types>$<type>`."""

    stack: str
    project: str
    qualified: str
    name: str

    @property
    def type(self) -> str:
        """The type token alone, without the parents' types."""
        return self.qualified.rpartition("$")[2]

    def __str__(self) -> str:
        return f"urn:pulumi:{self.stack}::{self.project}::{self.qualified}::{self.name}"


def parse_urn(text: str) -> Urn:
    """The parts of a URN; a name may itself hold `::`."""
    head, project, qualified, name = text.split("::", 3)
    return Urn(head.removeprefix("urn:pulumi:"), project, qualified, name)


def is_urn(text: str) -> bool:
    """Returns whether `parse_urn` can take the text to pieces."""
    return text.startswith("urn:pulumi:") and text.count("::") >= 3


def build_urn(stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """The URN of a resource below `parent` (a URN, or "" for none)."""
    above = parse_urn(parent).qualified if parent else ""
    prefix = "" if above in ("", STACK_TYPE) else f"{above}$"
    return str(Urn(stack, project, f"{prefix}{type_}", name))


def failed_urn(type_: str, name: str) -> str:
    """What a registration that failed is answered with: shaped as a URN, and no resource's."""
    return f"urn:pulumi:failed::failed::{type_}::{name}"


def refused_urn(type_: str, name: str) -> str:
    """The same for a registration that only the CLI can serve."""
    return f"urn:pulumi:refused::refused::{type_}::{name}"


def split_provider_reference(reference: str) -> tuple[str, str]:
    """A provider reference as the provider's URN and id."""
    urn, _, id_ = reference.rpartition("::")
    return urn, id_
