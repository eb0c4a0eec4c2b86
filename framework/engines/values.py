"""Property values as Pulumi passes them: plain JSON in which markers stand for special values.

A secret travels as a mapping with a signature: `{"4dabf...": "1b476...", "value": ...}` between
program and engine, with `ciphertext` or `plaintext` instead of `value` in state. An output that is
not known yet travels as a fixed UUID. This module turns secrets into `Secret`, whose `repr` does
not show the value. A tree is a value with everything in it: mappings, lists and leaves.
The constants are those of `sdk/python/lib/pulumi/runtime/rpc.py`.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from framework.core.changes import Preview
from framework.core.errors import EngineError
from framework.core.redaction import REDACTED, find_copied_secrets, find_secret_texts, redact_text
from framework.kube.object_diff import redact_fields

if TYPE_CHECKING:
    from framework.engines.base import RecordedObject
    from framework.plan import StackPlan

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Secret:
    """A value that is never shown and never stored unencrypted.

    Not a dataclass, because msgspec would write one to the state as a mapping, in plain text.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self.value == other.value)

    def __repr__(self) -> str:
        return "Secret()"


# Walking trees


def map_tree(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """Returns the tree with `leaf` applied to everything that is neither a mapping nor a list."""
    # Trees come from JSON, so dict and list are enough. `isinstance(tree, Mapping)` takes several
    # times as long, and a stack of 200 models has a million leaves.
    if isinstance(tree, dict):
        return {key: map_tree(value, leaf) for key, value in tree.items()}
    if isinstance(tree, list):
        return [map_tree(value, leaf) for value in tree]
    return leaf(tree)


def _any_leaf(tree: Any, matches: Callable[[Any], bool]) -> bool:
    # A loop, because a generator for each mapping takes four times as long, and drift looks for
    # secrets in every recorded object.
    unvisited = [tree]
    while unvisited:
        node = unvisited.pop()
        if isinstance(node, dict):
            unvisited.extend(node.values())
        elif isinstance(node, list):
            unvisited.extend(node)
        elif matches(node):
            return True
    return False


def has_unknown(tree: Any) -> bool:
    """Returns whether some value is known only after an apply."""
    return _any_leaf(
        tree,
        lambda leaf: has_unknown(leaf.value) if isinstance(leaf, Secret) else leaf == UNKNOWN,
    )


def fill_unknown(tree: Any, recorded: Any) -> Any:
    """Returns the tree with the recorded value at each place whose value is unknown.

    If nothing is recorded there, the key is left out: a model that failed keeps its output, and a
    new one has none yet. A list with an unknown item is replaced as a whole.
    """
    if not has_unknown(tree):
        return tree
    if not isinstance(tree, Mapping):
        return recorded
    before = without_unknown(recorded) if isinstance(recorded, Mapping) else {}
    return {
        key: fill_unknown(child, before.get(key))
        for key, child in tree.items()
        if not has_unknown(child) or isinstance(child, Mapping) or key in before
    }


def without_unknown(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns outputs without the unknown values, which a failed run of `pulumi up` records."""
    return fill_unknown(dict(outputs), {}) if has_unknown(outputs) else dict(outputs)


def has_secret(tree: Any) -> bool:
    """Returns whether some value is a `Secret`."""
    return _any_leaf(tree, lambda leaf: isinstance(leaf, Secret))


def has_sealed(tree: Any) -> bool:
    """Returns whether a tree from state holds an encrypted value."""
    unvisited = [tree]
    while unvisited:
        node = unvisited.pop()
        if isinstance(node, dict):
            if node.get(SIGNATURE) == SECRET:
                return True
            unvisited.extend(node.values())
        elif isinstance(node, list):
            unvisited.extend(node)
    return False


# Revealing, marking and redacting secrets


def reveal(tree: Any) -> Any:
    """Returns the tree with each `Secret` replaced by its value. Never show the result."""
    if not has_secret(tree):
        return tree
    return map_tree(tree, lambda leaf: reveal(leaf.value) if isinstance(leaf, Secret) else leaf)


def mark_secrets(tree: Any, like: Any) -> Any:
    """Returns `tree` with each value marked as secret that is secret at the same path of `like`.

    A list that has a secret anywhere becomes secret as a whole, as in the kubernetes provider: the
    server may return its items in another order.
    """
    if isinstance(tree, Secret) or not has_secret(like):
        return tree
    if isinstance(like, Mapping) and isinstance(tree, Mapping):
        return {key: mark_secrets(value, like.get(key)) for key, value in tree.items()}
    return Secret(tree)


def mark_secret_data(tree: Any) -> Any:
    """Returns a Kubernetes Secret with its data marked secret; any other object as it is."""
    if not isinstance(tree, Mapping) or tree.get("kind") != "Secret":
        return tree
    marked = dict(tree)
    for name in ("data", "stringData"):
        if marked.get(name) and not isinstance(marked[name], Secret):
            marked[name] = Secret(reveal(marked[name]))
    return marked


def redact_secrets(tree: Any) -> Any:
    """Returns the tree with each `Secret` replaced by REDACTED."""
    return map_tree(tree, lambda leaf: REDACTED if isinstance(leaf, Secret) else leaf)


def redact_sealed(tree: Any) -> Any:
    """Returns a tree from state with each encrypted value replaced by REDACTED.

    Needs no passphrase."""
    if isinstance(tree, Mapping):
        if tree.get(SIGNATURE) == SECRET:
            return REDACTED
        return {key: redact_sealed(value) for key, value in tree.items()}
    return [redact_sealed(value) for value in tree] if isinstance(tree, list) else tree


def collect_secret_texts(*trees: Any) -> frozenset[str]:
    """Returns every scalar inside the trees' secrets as text: plain, in base64, and decoded."""
    texts: set[str] = set()

    def add(leaf: Any) -> None:
        if leaf is not None and not isinstance(leaf, bool) and leaf != "":
            text = str(leaf)
            # A server's message may quote the value in either form: `data` of a Secret is base64,
            # `stringData` is not.
            texts.update((text, base64.b64encode(text.encode()).decode(), *_decode(text)))

    for tree in trees:
        for secret in _find_secrets(tree) if has_secret(tree) else ():
            map_tree(reveal(secret.value), add)
    return frozenset(texts)


def collect_message_secrets(*trees: Any) -> frozenset[str]:
    """Returns the texts that no message may show: those of secrets, and of what may be one.

    A server quotes the values of an object that it refuses.
    """
    plain = [reveal(tree) for tree in trees if isinstance(tree, dict)]
    return collect_secret_texts(*trees) | find_secret_texts(plain)


def _find_secrets(tree: Any) -> Iterator[Secret]:
    if isinstance(tree, Secret):
        yield tree
    elif isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _find_secrets(value)


def _decode(text: str) -> Iterator[str]:
    # A Kubernetes Secret holds base64, and a Pod's log or an error message the decoded value.
    try:
        plain = base64.b64decode(text, validate=True).decode()
    except ValueError:
        return
    if plain:
        yield plain


def list_objects(
    plan: StackPlan | None,
    recorded: Iterable[RecordedObject],
    live: Iterable[tuple[str, Mapping[str, Any]]],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields all objects of a stack, each with its model: planned, recorded and live ones.

    Any of them may be the only one with a secret whose copy is in others. For example, the object
    is not recorded yet, or it has left the files, or somebody changed its token by hand. The
    objects of a renamed model count for both of its names.
    """
    models = plan.models if plan else ()
    renamed = {model.previous_name: model.name for model in models if model.previous_name}
    renamed |= {name: former for former, name in renamed.items()}
    planned = plan.list_manifests() if plan else ()
    for model, tree in chain(
        ((model, manifest.object) for model, manifest in planned),
        ((obj.component, obj.inputs) for obj in recorded),
        live,
    ):
        yield model, tree
        if model in renamed:
            yield renamed[model], tree


def find_model_secrets(
    objects: Iterable[tuple[str, Mapping[str, Any]]],
) -> Mapping[str, frozenset[str]]:
    """Returns the plain secrets of each model; `objects` are pairs of a model and an object.

    An interpolation may copy `env.API_TOKEN` into a ConfigMap, where nothing shows that it is
    secret. So the secrets of one object must not be shown in the others either.
    """
    trees: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for model, tree in objects:
        trees[model].append(tree)
    secrets = {model: find_copied_secrets(found) for model, found in trees.items()}
    return defaultdict(frozenset, secrets)


def redact_copies(preview: Preview, objects: Iterable[tuple[str, Mapping[str, Any]]]) -> Preview:
    """Returns a preview whose fields and problems show no plain secret of their model.

    `objects` are those of `list_objects`.
    """
    shown = {change.component for change in preview.changes if change.fields}
    shown |= {problem.component for problem in preview.problems}
    secrets = find_model_secrets((model, tree) for model, tree in objects if model in shown)
    changes = tuple(
        replace(change, fields=redact_fields(change.fields, secrets[change.component]))
        if change.fields
        else change
        for change in preview.changes
    )
    problems = tuple(
        replace(problem, message=redact_text(problem.message, secrets[problem.component]))
        for problem in preview.problems
    )
    return replace(preview, changes=changes, problems=problems)


# Between the program's JSON and our trees


def tree_from_json(tree: Any) -> Any:
    """Returns the values that the SDK sends, with secret signatures as `Secret`.

    EngineError for what only the CLI can serve: assets, archives, resource references.
    """
    if isinstance(tree, Mapping):
        signature = tree.get(SIGNATURE)
        if signature == SECRET:
            return Secret(tree_from_json(tree.get("value")))
        if signature is not None:
            raise EngineError(
                "an asset, an archive or a resource as an input needs the pulumi CLI; "
                "use ENGINE=cli"
            )
        return {key: tree_from_json(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [tree_from_json(value) for value in tree]
    # A protobuf Struct has doubles only: `replicas: 3` arrives as 3.0, which the API server
    # refuses for an integer field.
    if isinstance(tree, float) and tree.is_integer():
        return int(tree)
    return tree


def tree_to_json(tree: Any) -> Any:
    """Returns the values for the SDK: the inverse of `tree_from_json`."""
    return map_tree(
        tree,
        lambda leaf: (
            {SIGNATURE: SECRET, "value": tree_to_json(leaf.value)}
            if isinstance(leaf, Secret)
            else leaf
        ),
    )
