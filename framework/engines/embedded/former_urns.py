"""The URNs that a resource may be recorded under, so that a renamed one is not created again.

The rules are Pulumi's (`pkg/resource/deploy/step_generator.go`). A resource inherits the renaming
of its parent, and often its name. For example, if the program has the component `ranker` with the
alias `scorer`, and below it a Deployment of the same name, this Deployment is looked for as

    ...::modelcatalog:index:Model$kubernetes:apps/v1:Deployment::ranker    its own URN, first of all
    ...::modelcatalog:index:Model$kubernetes:apps/v1:Deployment::scorer    named like its parent
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framework.engines.embedded.registration import Alias, Registration
from framework.engines.urns import Urn, build_urn, parse_urn


def build_former_urns(
    urn: str, registration: Registration, former_parents: Iterable[str]
) -> Iterator[str]:
    """Yields the URNs that a resource may have had, in the order in which they are looked for.

    They come from its own aliases, and from `former_parents`, the former URNs of its parent.
    """
    here, former_parents = parse_urn(urn), list(former_parents)
    # The empty alias stands for the own name and type, below a former parent.
    for alias in (*registration.aliases, Alias()):
        if alias.urn:
            yield alias.urn
            continue
        parents = [registration.parent, *former_parents]
        if alias.no_parent or alias.parent:
            parents = [alias.parent]
        for parent in parents:
            if parent in former_parents and not alias.name:
                yield from _inherit_name(here, registration, parent, alias)
            yield build_urn(
                alias.stack or here.stack,
                alias.project or here.project,
                parent,
                alias.type or registration.type,
                alias.name or registration.name,
            )


def _inherit_name(
    here: Urn, registration: Registration, parent: str, alias: Alias
) -> Iterator[str]:
    """Yields the former URN of a child that is named after its parent.

    A parent renamed from `old` to `new` makes `old-settings` the former name of `new-settings`.
    """
    new, old = parse_urn(registration.parent).name, parse_urn(parent).name
    if registration.name.startswith(new):
        name = old + registration.name.removeprefix(new)
        type_ = alias.type or registration.type
        yield build_urn(here.stack, here.project, parent, type_, name)
