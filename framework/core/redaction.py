"""Keeps secrets out of text: decides which values may be secret, and replaces them.

Three questions are answered here: does the path of a setting name a secret (`is_secret_key`), may
this value be secret (`is_secret`), and which texts must not appear in a report at all
(`find_secret_texts`, `redact_text`). The last one is needed because a value under a key such as
API_TOKEN reaches other places as well, through an interpolation or a patch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from framework.core.field_paths import FREE_KEYS, FieldPath, name_items

REDACTED = "[secret]"
"""The text that replaces a secret wherever people or programs read one."""

# "tokenizer" is not a token: TOKENIZERS_PARALLELISM is a common variable of model servers.
_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|secret|token(?!iz)|credential|api.?key|private.?key|access.?key|auth|dsn",
    re.IGNORECASE,
)
# The prefixes that Hugging Face, OpenAI, GitHub, GitLab, Slack and AWS give their tokens; "eyJ" is
# the Base64 form of `{"`, with which every JSON Web Token begins.
_TOKEN = re.compile(r"(hf_|sk-|gh[oprsu]_|glpat-|xox[abprs]-|AKIA[0-9A-Z]|eyJ[0-9A-Za-z])")
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)([^/\s]+)@")
# A secret of one to three characters is part of too many words and numbers to be replaced
# everywhere: with the secret "1", the text "11 Pods" would become unreadable.
_SHORTEST = 4
# Values that are frequent in reports although their key names a secret: MAX_TOKENS is "4096".
_COMMON = re.compile(r"true|false|none|null|\d{1,7}(\.\d*)?", re.IGNORECASE)
_OPTION = re.compile(r"--?(?P<name>[\w.-]+)(=(?P<value>.+))?", re.DOTALL)


def is_secret_key(path: Iterable[str | int]) -> bool:
    """Returns True if a key on `path` suggests a secret: `env.API_TOKEN`, `auth.user`."""
    return any(isinstance(part, str) and _SECRET_KEY.search(part) for part in path)


def can_be_secret(value: Any) -> bool:
    """Returns False for booleans and empty values, which reveal nothing."""
    return not isinstance(value, bool) and bool(value)


def is_secret(path: Iterable[str | int], value: Any) -> bool:
    """Returns True if `value` may be secret, by a key on `path` or because it looks like one."""
    if not can_be_secret(value):
        return False
    looks_secret = isinstance(value, str) and (_TOKEN.match(value) or _URL_PASSWORD.search(value))
    return is_secret_key(path) or bool(looks_secret)


def redact(path: Iterable[str | int], value: Any) -> Any:
    """Returns the value at `path`, which may be a mapping or a list, with every secret replaced.

    In a URL with a password, only the password is replaced.
    """
    path = tuple(path)
    if isinstance(value, dict):
        return {key: redact((*path, key), child) for key, child in value.items()}
    if isinstance(value, list):
        return [redact((*path, index), child) for index, child in enumerate(value)]
    if not is_secret(path, value):
        return value
    if is_secret_key(path) or _TOKEN.match(value):
        return REDACTED
    return _URL_PASSWORD.sub(rf"\1{REDACTED}@", value)


def redact_field(path: FieldPath, value: Any) -> Any:
    """Returns the value at a field of a manifest, as `redact` does for a setting.

    The key of a list item counts as well: `env[API_TOKEN].value` is a secret. A field `name` is not
    a secret, because it is the key of an item, or the name of the Secret that a field refers to.
    """
    if isinstance(value, dict):
        return {key: redact_field(path.child(key), child) for key, child in value.items()}
    if isinstance(value, list):
        steps = name_items(path, value)
        return [redact_field(path.child(s), item) for s, item in zip(steps, value, strict=True)]
    if path.steps and path.steps[-1] == "name":
        return value
    return redact([str(step) for step in path.steps], value)


def redact_value(value: Any, secrets: Iterable[str]) -> Any:
    """Returns REDACTED if `value` is one of the secrets or contains one, else `value`."""
    if value is None:
        return value
    text = str(value)
    secret = any(text == s or (len(s) >= _SHORTEST and s in text) for s in secrets)
    return REDACTED if secret else value


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Returns a message or report, text or JSON, with every secret replaced.

    A secret of fewer than four characters is replaced only inside quotes.
    """
    # The longest first: a secret may be part of another one.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for written in {secret, json.dumps(secret)[1:-1]}:
            if len(secret) >= _SHORTEST:
                text = text.replace(written, REDACTED)
            else:
                quoted = re.compile(rf"([\"'`]){re.escape(written)}\1")
                text = quoted.sub(rf"\1{REDACTED}\1", text)
    return text


def find_secret_texts(trees: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Returns the texts in manifests or settings that may be secret.

    These are the values of environment variables, annotations and options whose names suggest a
    secret, and the passwords in URLs.
    """
    texts = {text for tree in trees for text in _find(tree) if len(text) >= _SHORTEST}
    return frozenset(text for text in texts if not _COMMON.fullmatch(text))


def _find(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        name = tree.get("name")
        if isinstance(name, str) and is_secret_key((name,)) and "value" in tree:
            yield str(tree["value"])
        for key, value in tree.items():
            if key in FREE_KEYS and isinstance(value, Mapping):
                yield from _find_by_key(value)
            yield from _find(value)
    elif isinstance(tree, list):
        yield from _find_in_arguments(tree)
        for value in tree:
            yield from _find(value)
    elif isinstance(tree, str):
        for _, password in _URL_PASSWORD.findall(tree):
            yield password


def _find_by_key(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        # A mapping refers to a Secret by its name, which is not secret itself.
        if is_secret_key((key,)) and not isinstance(value, Mapping | list):
            yield str(value)


def _find_in_arguments(arguments: list[Any]) -> Iterator[str]:
    """Yields the values of options such as `--api-key=x`, or `--api-key x` in two arguments."""
    for argument, following in pairwise([*arguments, None]):
        option = _OPTION.fullmatch(argument) if isinstance(argument, str) else None
        if option and is_secret_key((option["name"],)):
            value = option["value"] or following
            if isinstance(value, str) and not value.startswith("-"):
                yield value
