"""The forms in which a setting may be written, and what a later layer replaces.

The settings classes declare them, and the merge of layers follows them: it treats no setting
specially by its name. A tree has one node for each key of the settings; the key ANY stands for a
name that people choose, such as that of a port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from framework.core.diagnostics import KeyPath

ANY = "*"


@dataclass(frozen=True)
class Form:
    """The forms of one setting beside a plain mapping, list or text.

    `primary` is the key that a single value is short for: `8080` for `{containerPort: 8080}`.
    `is_single` is True where a single value and a mapping are different kinds of value, so that
    each replaces the other. `replaces` maps a key to the keys of earlier layers that it replaces:
    for a volume, `claim` replaces `configMap`. With `is_list`, the setting may also be a mapping of
    `items` or `append`, with `is_text` a mapping of `text`; both may have `interpolate`.
    """

    primary: str = ""
    is_single: bool = False
    replaces: Mapping[str, frozenset[str]] = field(default_factory=dict)
    is_list: bool = False
    is_text: bool = False


@dataclass(eq=False)
class FormTree:
    """The forms of a setting, and those of the settings below it by key.

    `example` is a mapping to show where people often write a list or a single value.
    """

    form: Form | None = None
    below: dict[str, FormTree] = field(default_factory=dict)
    example: str = ""

    def find(self, value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Form, Any]]:
        """Yields the path, form and value of each setting in `value` that has a form."""
        if self.form:
            yield path, self.form, value
        if not isinstance(value, dict):
            return
        for key, child in value.items():
            if node := self.below.get(key) or self.below.get(ANY):
                yield from node.find(child, (*path, key))

    def at(self, path: KeyPath) -> Form | None:
        """Returns the form of the setting at a path."""
        node = self._node_at(path)
        return node.form if node else None

    def example_at(self, path: KeyPath) -> str:
        """Returns the example of the setting at a path, "" if it has none."""
        node = self._node_at(path)
        return node.example if node else ""

    def _node_at(self, path: KeyPath) -> FormTree | None:
        node: FormTree | None = self
        for key in path:
            node = node.below.get(str(key)) or node.below.get(ANY) if node else None
        return node


NO_FORMS = FormTree()
