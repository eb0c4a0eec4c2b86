"""URNs and provider references: builds them and takes them apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from framework.plan import Manifest, StackPlan

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
        """The type token without the types of the parents."""
        return self.qualified.rpartition("$")[2]

    @property
    def label(self) -> str:
        """The kind and the name: `RandomPassword token`."""
        return f"{self.type.rpartition(':')[2]} {self.name}"

    def __str__(self) -> str:
        return f"urn:pulumi:{self.stack}::{self.project}::{self.qualified}::{self.name}"


def parse_urn(text: str) -> Urn:
    """Returns the parts of a URN. A name may contain `::` itself."""
    head, project, qualified, name = text.split("::", 3)
    return Urn(head.removeprefix("urn:pulumi:"), project, qualified, name)


def build_urn(stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """Builds the URN of a resource below `parent` (a URN, or "" for none)."""
    # The Stack adds no type prefix to its children. The SDK's MockMonitor does add one, so the
    # URNs that it shows in tests are not those of a real stack.
    parent_types = parse_urn(parent).qualified if parent else ""
    prefix = "" if parent_types in ("", STACK_TYPE) else f"{parent_types}$"
    return str(Urn(stack, project, f"{prefix}{type_}", name))


def list_model_urns(plan: StackPlan, project: str) -> Iterator[tuple[str, str]]:
    """Yields the URN of each component of a plan, and of each object in it, with its parent."""
    stack = plan.stack.name
    for model in plan.models:
        component = build_model_urn(stack, project, model.name)
        yield component, ""
        for manifest in model.manifests:
            yield build_manifest_urn(stack, project, model.name, manifest), component


def build_model_urn(stack: str, project: str, model: str) -> str:
    """Builds the URN of a model's component, "" for no model."""
    from framework.plan.manifest import MODEL_TYPE

    return build_urn(stack, project, "", MODEL_TYPE, model) if model else ""


def build_manifest_urn(stack: str, project: str, model: str, manifest: Manifest) -> str:
    """Builds the URN of an object; `model` is "" for the Namespace."""
    parent = build_model_urn(stack, project, model)
    return build_urn(stack, project, parent, manifest.type_token, manifest.logical_name)


def build_failed_urn(type_: str, name: str) -> str:
    """Builds a placeholder for the answer to a failed registration; no resource has this URN."""
    return f"urn:pulumi:failed::failed::{type_}::{name}"


def split_provider_reference(reference: str) -> tuple[str, str]:
    """Returns the URN and the id of the provider that a reference (`<urn>::<id>`) names."""
    urn, _, id_ = reference.rpartition("::")
    return urn, id_
