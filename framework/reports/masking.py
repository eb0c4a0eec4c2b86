"""Values without what may be secret, going by their keys, and reports without those values.

Kept apart because every report of settings must hide the same. What stands under a key such as
API_TOKEN in a Pod's environment may stand elsewhere as well, by an interpolation or in a patch: so
a report is searched for the value, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from framework.core.changes import MASK
from framework.files import may_be_secret

# A shorter value stands in too many words to be hidden everywhere, and so do these: MAX_TOKENS is
# "4096", TOKENIZERS_PARALLELISM "false".
_SHORTEST = 4
_COMMON = re.compile(r"true|false|none|null|\d{1,7}(\.\d*)?", re.IGNORECASE)
_CREDENTIALS = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
_OPTION = re.compile(r"--?(?P<name>[\w.-]+)(=(?P<value>.+))?", re.DOTALL)
# Mappings whose keys people choose, in manifests and in settings.
_FREE_KEYS = frozenset(
    {"annotations", "podAnnotations", "labels", "data", "stringData", "env", "files"}
)


def mask(path: Iterable[str | int], value: Any) -> Any:
    """The value at `path` with "[secret]" for every text or number whose keys say so."""
    here = tuple(path)
    if isinstance(value, dict):
        return {key: mask((*here, key), child) for key, child in value.items()}
    if isinstance(value, list):
        return [mask((*here, index), child) for index, child in enumerate(value)]
    return MASK if may_be_secret(here) and can_be_secret(value) else value


def can_be_secret(value: Any) -> bool:
    """False for true, false and what is empty: nothing to hide."""
    return not isinstance(value, bool) and bool(value)


def secret_values(trees: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """What may be secret in rendered objects or in settings: by an environment variable's name, an
    annotation's key, or as the password in a URL."""
    found = {text for tree in trees for text in _find(tree) if len(text) >= _SHORTEST}
    return frozenset(text for text in found if not _COMMON.fullmatch(text))


def _find(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        name = tree.get("name")
        if isinstance(name, str) and may_be_secret((name,)) and "value" in tree:
            yield str(tree["value"])
        for key, value in tree.items():
            if key in _FREE_KEYS and isinstance(value, Mapping):
                yield from _find_by_key(value)
            yield from _find(value)
    elif isinstance(tree, list):
        yield from _find_in_words(tree)
        for value in tree:
            yield from _find(value)
    elif isinstance(tree, str):
        yield from _CREDENTIALS.findall(tree)


def _find_in_words(words: list[Any]) -> Iterator[str]:
    """What follows an option such as --api-key, in the same word or in the next."""
    for word, after in pairwise([*words, None]):
        option = _OPTION.fullmatch(word) if isinstance(word, str) else None
        if option and may_be_secret((option["name"],)):
            value = option["value"] or after
            if isinstance(value, str) and not value.startswith("-"):
                yield value


def _find_by_key(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        # A reference to a Secret names it, and gives nothing away.
        if may_be_secret((key,)) and not isinstance(value, Mapping | list):
            yield str(value)


def conceal(report: str, secrets: Iterable[str]) -> str:
    """A report, text or JSON, without these values."""
    for secret in sorted(secrets, key=len, reverse=True):
        for written in {secret, json.dumps(secret)[1:-1]}:
            report = report.replace(written, MASK)
    return report
