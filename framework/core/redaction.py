"""Keeps secrets out of text: decides which values may be secret, and replaces them.

Three questions are answered here: does the path of a setting name a secret (`is_secret_key`), which
parts of a value are secret (`redact`, `is_secret`), and which texts must not appear in a report at
all (`find_secret_texts`, `redact_text`). The last one is needed because a value under a key such as
API_TOKEN reaches other places as well, through an interpolation or a patch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.core.field_paths import FREE_KEYS, FieldPath, ItemKey, Step, name_items
from framework.core.secret_arguments import SecretArgument, find_in_arguments
from framework.core.secret_documents import SHORTEST, find_spans, merge_spans
from framework.core.secret_names import is_secret_name
from framework.core.secret_patterns import can_be_secret

REDACTED = "[secret]"
"""The text that replaces a secret wherever people or programs read one."""

# Settings and Kubernetes fields whose names sound secret, and that refer to a Secret or switch a
# token on. tests/core/test_redaction.py looks for others.
_REFERENCES = frozenset(
    {
        "automountServiceAccountToken",
        "automountToken",
        "forbidPlainSecrets",
        "gmsaCredentialSpec",
        "imagePullSecrets",
        "pullSecrets",
        "secret",
        "secrets",
        "serviceAccountToken",
        "tlsSecret",
    }
)
# Mappings and lists of parts of a Pod, each with a name that does not describe a value: a volume
# may be called `hub-secret`.
_PARTS = frozenset(
    {
        "claims",
        "containers",
        "envFrom",
        "initContainers",
        "mounts",
        "objects",
        "ports",
        "resourceClaims",
        "services",
        "sidecars",
        "volumeMounts",
        "volumes",
    }
)
# An annotation that names a Secret: `nginx.ingress.kubernetes.io/auth-secret`.
_ANNOTATED = re.compile(r"[\w.-]+\.[\w.-]+/[\w.-]*secrets?")
# What a variable may have in place of a value: `env.API_TOKEN.secret` is the name of a Secret.
_SOURCES = frozenset({"secret", "configMap", "key", "field", "resource"})
# Values that are frequent in reports although their key names a secret: MAX_TOKENS is "4096".
_COMMON = re.compile(r"true|false|none|null|\d{1,7}(\.\d*)?", re.IGNORECASE)
# The scheme and the host of a URL.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]{0,20})://(?:[^/\s\"']*@)?([\w.-]*)")
# Fields and variables whose values are no secrets: `image`, `DB_HOST`, `mountPath`.
_PUBLIC = re.compile(r"(image|repository|name|namespace|hosts?|path|user)$", re.IGNORECASE)
_LETTER = r"[^\W\d_]"
# The start of a word: not within another word, or after the letters of an option or an escape, as
# in `-psunshine`, `\nsunshine`, `%2Fsunshine`, `\u00fcsunshine`.
_START = rf"(?:(?<!{_LETTER})|(?<=[\\-][a-zA-Z])|(?<=%[\da-fA-F]{{2}})|(?<=\\u[\da-f]{{4}}))"


def is_secret_key(path: Iterable[str | int]) -> bool:
    """Returns True if a key on `path` suggests a secret: `env.API_TOKEN`, `auth.user`.

    The path of a reference to a Secret is not secret: `env.API_TOKEN.secret`.
    """
    steps = [str(step) for step in path]
    secret = False
    for index, step in enumerate(steps):
        parent = steps[index - 1] if index else ""
        if parent in _PARTS:
            continue
        if parent == "stringData":
            # Only a Secret has this field.
            return True
        if step == "valueFrom" or (index > 1 and steps[index - 2] == "env" and step in _SOURCES):
            secret = False
        elif parent in FREE_KEYS or step not in _REFERENCES:
            secret = secret or (is_secret_name(step) and not _ANNOTATED.fullmatch(step))
    return secret


def is_secret(path: Iterable[str | int], value: Any) -> bool:
    """Returns True if `value` may be secret, by a key on `path` or because it looks like one."""
    if not can_be_secret(value):
        return False
    return is_secret_key(path) or (isinstance(value, str) and bool(find_spans(value)))


def redact(path: Iterable[Step], value: Any, *, of_manifest: bool = False) -> Any:
    """Returns the value of a setting, or of a field of a manifest, with every secret replaced.

    The value may be a mapping or a list. The key of a list item counts as well:
    `env[API_TOKEN].value` is a secret. Within a text such as a configuration file or a URL, only
    the secrets are replaced. With `of_manifest`, a field `name` is no secret: it is the name of the
    Secret that a field refers to, or the key of an item.
    """
    path = tuple(path)
    if isinstance(value, dict):
        # Where the items of a list go by index, the path has no name: that of a variable that
        # occurs twice.
        name = find_name_of_value(value)
        return {
            key: redact(
                (*path, name, key) if name and key == "value" else (*path, key),
                child,
                of_manifest=of_manifest,
            )
            for key, child in redact_arguments(value).items()
        }
    if isinstance(value, list):
        items = zip(name_items(FieldPath(path), value), redact_arguments(value), strict=True)
        return [redact((*path, step), item, of_manifest=of_manifest) for step, item in items]
    is_name = path[-1:] == ("name",) and path[-2:-1] != ("stringData",)
    if is_name and len(path) > 1 and isinstance(path[-2], ItemKey):
        # The key of this item is the value itself, so it does not show whether that is a secret.
        path = (*path[:-2], "name")
    is_secret_path = is_secret_key(map(str, path)) and not (is_name and of_manifest)
    if isinstance(value, str) and not is_secret_path:
        return redact_within(value)
    return REDACTED if is_secret_path and can_be_secret(value) else value


def find_name_of_value(item: Any) -> str:
    """Returns the name in `{name: API_TOKEN, value: x}`, an item of a list of variables, headers or
    parameters; "" for any other `item`. Custom resources also call the name `key`."""
    if not isinstance(item, Mapping) or "value" not in item:
        return ""
    return next((name for key in ("name", "key") if isinstance(name := item.get(key), str)), "")


def find_secret_paths(tree: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yields the path of each value in settings that `redact` replaces, or a part of it."""
    if isinstance(tree, dict):
        name = find_name_of_value(tree)
        for key, child in tree.items():
            is_value = bool(name) and key == "value" and is_secret((*path, name), child)
            if is_value and not isinstance(child, dict | list):
                yield (*path, key)
            else:
                yield from find_secret_paths(child, (*path, key))
        yield from ((*path, "args", found.item) for found in _find_in_args(tree))
    elif isinstance(tree, list):
        secret = {found.item for found in find_secret_arguments(tree)}
        for index, child in enumerate(tree):
            if index in secret:
                yield (*path, index)
            else:
                yield from find_secret_paths(child, (*path, index))
    elif is_secret(path, tree):
        yield path


def redact_within(text: str, *, keep_lines: bool = False) -> str:
    """Returns a text with the secrets in it replaced, such as a configuration file.

    A secret is the value of a name that suggests one (`password = x`), the password in a URL, or a
    text that has the form of a token. With `keep_lines`, the text has as many lines as before.
    """
    return _replace_spans(text, find_spans(text), keep_lines=keep_lines)


def redact_value(value: Any, secrets: Collection[str]) -> Any:
    """Returns a value with every secret replaced, also within its texts, mappings and lists.

    Redact values before they are rendered. In finished text a secret may be escaped, or cut where a
    long value is shortened, and `redact_text` does not find it there.
    """
    if not secrets or value is None:
        return value
    if isinstance(value, Mapping):
        return {redact_text(k, secrets): redact_value(child, secrets) for k, child in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(child, secrets) for child in value]
    text = str(value)
    shown = REDACTED if text in secrets else redact_text(text, secrets)
    if shown == text:
        return value
    return shown if isinstance(value, str) else REDACTED


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Returns a message or report, text or JSON, with every secret replaced.

    A secret of fewer than four characters is replaced only inside quotes, and a word only where it
    is not part of a longer one.
    """
    spans = [span for secret in secrets if secret for span in _find_written(text, secret)]
    if not spans:
        return text
    # What is redacted already stays so: the secret may be the word "secret".
    spans += [match.span() for match in re.finditer(re.escape(REDACTED), text)]
    return _replace_spans(text, merge_spans(spans))


def _find_written(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Yields the first and last index of each occurrence of a secret, as text or in JSON."""
    for written in _list_spellings(secret):
        if written in text:
            pattern = re.escape(written)
            if len(secret) < SHORTEST:
                pattern = "|".join(f"(?<={quote}){pattern}(?={quote})" for quote in "\"'`")
            elif _is_word(secret):
                # The word `admin` in `administration` is not a copy of the password `admin`.
                pattern = f"{_START}{pattern}(?!{_LETTER})"
            yield from (match.span() for match in re.finditer(pattern, text))


def _is_word(secret: str) -> bool:
    """Returns whether a secret may be a word: `admin`, and not `kXqPzRtWvNb`."""
    return secret.isalpha() and (secret.isupper() or secret[1:].islower())


@lru_cache(maxsize=4096)
def _list_spellings(secret: str) -> frozenset[str]:
    return frozenset({secret, json.dumps(secret)[1:-1]})


def _replace_spans(text: str, spans: Iterable[tuple[int, int]], *, keep_lines: bool = False) -> str:
    shown, end = [], 0
    for start, stop in spans:
        shown += [text[end:start], REDACTED]
        shown += ["\n" * text.count("\n", start, stop)] if keep_lines else []
        end = stop
    return "".join([*shown, text[end:]])


def find_secret_texts(trees: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Returns the texts in manifests or settings that may be secret.

    These are the values of environment variables, annotations and options whose names suggest a
    secret, and the secrets within other texts.
    """
    texts = {text for tree in trees for text in _find(tree) if len(text) >= SHORTEST}
    return frozenset(text for text in texts if not _COMMON.fullmatch(text))


def find_copied_secrets(trees: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Returns the secret texts whose copies in other values are redacted.

    These are all but words that also stand in an image, a name, a host, a path or a user of these
    trees. The password of a model with the image `postgres:16` may be `postgres`: without that
    word, nobody can judge, accept or take a difference, and nothing shows that it is the password
    as well.
    """
    trees = tuple(trees)
    texts = find_secret_texts(trees)
    if not any(map(_is_word, texts)):
        return texts
    public = "\n".join(text for tree in trees for text in _find_public(tree))
    return frozenset(
        text for text in texts if not _is_word(text) or not any(_find_written(public, text))
    )


def _find_public(tree: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(tree, Mapping):
        name = find_name_of_value(tree)
        for key, child in tree.items():
            yield from _find_public(child, (*path, name if name and key == "value" else str(key)))
    elif isinstance(tree, list):
        for child in tree:
            yield from _find_public(child, path)
    elif isinstance(tree, str):
        if path and _PUBLIC.search(path[-1]) and not is_secret_key(path):
            # A part of it may be secret: `/health?token=x`.
            yield redact_within(tree)
        if "://" in tree:
            for match in _ADDRESS.finditer(tree):
                yield from match.groups()


def _find(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        name, value = find_name_of_value(tree), tree.get("value")
        if name and is_secret_key((name,)) and can_be_secret(value):
            yield str(value)
        for key, value in tree.items():
            if key in FREE_KEYS and isinstance(value, Mapping):
                yield from _find_by_key(value)
            yield from _find(value)
        for found in _find_in_args(tree):
            yield tree["args"][found.item][found.start : found.end]
    elif isinstance(tree, list):
        for found in find_secret_arguments(tree):
            yield tree[found.item][found.start : found.end]
        for value in tree:
            yield from _find(value)
    elif isinstance(tree, str):
        for start, end in find_spans(tree):
            yield tree[start:end]


def _find_by_key(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        # A mapping refers to a Secret by its name, which is not secret itself.
        if not isinstance(value, Mapping | list) and can_be_secret(value) and is_secret_name(key):
            yield str(value)


def find_secret_arguments(
    arguments: Sequence[Any], command: Sequence[Any] = ()
) -> list[SecretArgument]:
    """Returns the secrets in a list of arguments: `--api-key`, `x`. `command` comes before them."""
    return [
        found._replace(item=found.item - len(command))
        for found in find_in_arguments([*command, *arguments])
        if found.item >= len(command)
        and can_be_secret(arguments[found.item - len(command)][found.start : found.end])
    ]


def _find_in_args(container: Mapping[str, Any]) -> list[SecretArgument]:
    """Returns the secrets in `args` that only `command` explains: `[mysql]` and `[-px]`."""
    command, arguments = container.get("command"), container.get("args")
    if not isinstance(command, list) or not isinstance(arguments, list):
        return []
    alone = find_secret_arguments(arguments)
    return [found for found in find_secret_arguments(arguments, command) if found not in alone]


def redact_arguments(value: Any) -> Any:
    """Returns a list with the secrets in it replaced, or a container with those in its `args`."""
    if isinstance(value, dict):
        found = _find_in_args(value)
        return {**value, "args": _replace(value["args"], found)} if found else value
    return _replace(value, find_secret_arguments(value))


def _replace(arguments: list[Any], found: Iterable[SecretArgument]) -> list[Any]:
    replaced = [*arguments]
    for index, start, end in found:
        replaced[index] = f"{arguments[index][:start]}{REDACTED}{arguments[index][end:]}"
    return replaced
