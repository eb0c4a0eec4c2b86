"""Property values as they pass between the program, the state and the cluster.

Owns what becomes of the marks that Pulumi puts into plain JSON. Kept apart because all three sides
must agree on them, and because no other module may look inside a `Secret`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from framework.core.changes import FieldChange
from framework.core.errors import EngineError
from framework.core.redaction import REDACTED, redact_value
from framework.engines.marks import SECRET, SIGNATURE, UNKNOWN


@dataclass(frozen=True)
class Secret:
    """A value that is never shown and never stored in the clear."""

    value: Any = field(repr=False)


def map_tree(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same tree with `leaf` applied to everything that is neither a mapping nor a list."""
    # Trees come of JSON; asking for Mapping and Sequence takes several times as long.
    if isinstance(tree, dict):
        return {key: map_tree(value, leaf) for key, value in tree.items()}
    if isinstance(tree, list):
        return [map_tree(value, leaf) for value in tree]
    return leaf(tree)


def reveal(tree: Any) -> Any:
    """The tree with every secret in the clear, for the API server only."""
    if not has_secret(tree):
        return tree
    return map_tree(tree, lambda leaf: reveal(leaf.value) if isinstance(leaf, Secret) else leaf)


def mask(tree: Any) -> Any:
    """The tree with every secret replaced by REDACTED."""
    return map_tree(tree, lambda leaf: REDACTED if isinstance(leaf, Secret) else leaf)


def find_leaf(tree: Any, fits: Callable[[Any], bool]) -> bool:
    """Whether a leaf of the tree fits; a secret is one leaf."""
    if isinstance(tree, dict):
        return any(find_leaf(value, fits) for value in tree.values())
    if isinstance(tree, list):
        return any(find_leaf(value, fits) for value in tree)
    return fits(tree)


def has_unknown(tree: Any) -> bool:
    """True when some value is known only after an apply."""
    return find_leaf(
        tree,
        lambda leaf: has_unknown(leaf.value) if isinstance(leaf, Secret) else leaf == UNKNOWN,
    )


def has_secret(tree: Any) -> bool:
    """True when some value is a `Secret`."""
    return find_leaf(tree, lambda leaf: isinstance(leaf, Secret))


def find_secrets(tree: Any) -> Iterator[Secret]:
    """Every secret of a tree."""
    if isinstance(tree, Secret):
        yield tree
    elif isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from find_secrets(value)


def mark_secrets(tree: Any, like: Any) -> Any:
    """`tree` with those of its values made secret that are secret in `like`.

    A list with a secret anywhere becomes secret as a whole, as the kubernetes provider does it:
    the server may order its items differently.
    """
    if isinstance(tree, Secret) or not has_secret(like):
        return tree
    if isinstance(like, Mapping) and isinstance(tree, Mapping):
        return {key: mark_secrets(value, like.get(key)) for key, value in tree.items()}
    return Secret(tree)


def secret_texts(*trees: Any) -> frozenset[str]:
    """Every scalar inside the trees' secrets as text, plain and in base64."""
    texts: set[str] = set()

    def note(leaf: Any) -> None:
        if leaf is not None and not isinstance(leaf, bool) and leaf != "":
            text = str(leaf)
            texts.update((text, base64.b64encode(text.encode()).decode(), *_decoded(text)))

    for tree in trees:
        for secret in find_secrets(tree) if has_secret(tree) else ():
            map_tree(reveal(secret.value), note)
    return frozenset(texts)


def _decoded(text: str) -> Iterator[str]:
    try:
        plain = base64.b64decode(text, validate=True).decode()
    except ValueError:
        return
    if plain:
        yield plain


def redact_fields(
    fields: tuple[FieldChange, ...], secrets: frozenset[str]
) -> tuple[FieldChange, ...]:
    """The field changes with every secret value redacted."""
    if not secrets:
        return fields
    return tuple(
        FieldChange(
            change.path,
            redact_value(change.old, secrets),
            redact_value(change.new, secrets),
            change.manager,
            change.time,
        )
        for change in fields
    )


def tree_from_json(tree: Any) -> Any:
    """Values as the SDK sends them, with secret signatures turned into `Secret`.

    Integral doubles become int: a Struct knows no integers. Raises EngineError for what only the
    CLI can serve (assets, archives, resource references).
    """
    if isinstance(tree, Mapping):
        signature = tree.get(SIGNATURE)
        if signature == SECRET:
            return Secret(tree_from_json(tree.get("value")))
        if signature is not None:
            raise EngineError("an asset, an archive or a resource as an input needs the pulumi CLI")
        return {key: tree_from_json(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [tree_from_json(value) for value in tree]
    if isinstance(tree, float) and tree.is_integer():
        return int(tree)
    return tree


def tree_to_json(tree: Any) -> Any:
    """The opposite of `tree_from_json`: secrets become signatures that the SDK understands."""
    return map_tree(
        tree,
        lambda leaf: (
            {SIGNATURE: SECRET, "value": tree_to_json(leaf.value)}
            if isinstance(leaf, Secret)
            else leaf
        ),
    )
