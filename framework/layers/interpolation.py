r"""Resolves the interpolations of a merged configuration, and explains those that fail.

For example, the layers of a model gave:

    image: {repository: nginx, tag: "${version}"}
    version: 1.10
    ports: {http: {containerPort: 8080}}
    args: ["--port=${ports.http}", "--version=${version}", "${imag.tag}"]

`Resolution.run` does this in four steps:

1. The context is added, so that `${name}` and `${environment.name}` can be found too.
2. Texts that OmegaConf would resolve to something unexpected are rewritten: `--port=${ports.http}`
   to `--port=${ports.http.containerPort}`, because it would insert the mapping as Python writes it;
   and `--version=${version}` to `--version=1.10`, because it would insert the float 1.1.
3. OmegaConf resolves each text by itself, so that one error does not hide the others.
4. The texts that failed are explained, here `args[2] refers to "imag.tag", which has no value here;
   did you mean "image.tag"?`. Of texts that fail because another one does, only that one is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.field_paths import FieldPath, get_at, paths_overlap
from framework.core.forms import NO_FORMS, FormTree
from framework.core.suggestions import did_you_mean
from framework.layers.layer import Layer, find_layer
from framework.layers.references import (
    REFERENCE,
    SELECTED_KEY,
    describe_escape,
    escape,
    find_referenced_keys,
    find_references,
    is_whole,
    read_whole_reference,
    reads_secret,
)

# OmegaConf follows references by recursion, and meets a circle as a RecursionError.
_CANNOT_RESOLVE = (OmegaConfBaseException, RecursionError)
# References that lead to references, which may lead back to the first one.
_LONGEST_CHAIN = 100


@dataclass(eq=False)
class Resolution:
    """Resolves the interpolations of a merged configuration, and collects every error.

    `config` is the configuration in which OmegaConf looks up references. `data` and `origins` are
    the plain result. All three are updated in place. `texts` has the interpolations by path.
    `broken` has the paths that are missing because of errors that are reported already: an
    interpolation that refers to one fails without a diagnostic of its own. `layers` were merged
    into the configuration.

    After `run`, `failed` has the interpolations that could not be resolved, by path, and
    `missing_references` the keys that do not exist, by the diagnostic about them. `numbers` has the
    text of each number, true and false that an interpolation gave, as YAML writes it.
    """

    config: DictConfig
    data: dict[str, Any]
    origins: dict[KeyPath, tuple[Position, ...]]
    texts: Mapping[KeyPath, str]
    broken: frozenset[KeyPath]
    layers: Sequence[Layer]
    context: Mapping[str, Any]
    """Data outside the configuration that references can name."""
    self_name: str = ""
    """A name under which references can name the configuration itself: in environment.yaml,
    `${environment.namespace}` is `${namespace}`."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    failed: dict[KeyPath, str] = field(default_factory=dict)
    missing_references: dict[Diagnostic, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    numbers: dict[KeyPath, str] = field(default_factory=dict)

    def run(self) -> None:
        """Writes every resolved value into the data; a failed interpolation is removed from it."""
        self._add_context()
        self._name_primary_keys()
        self._spell_values()
        for path, text in self.texts.items():
            value = self._resolve(path)
            if value is None:
                self.failed[path] = text
            else:
                self._write(path, text, value)
        for path in self.failed:
            self._explain(path)
        for path in self.failed:
            self._remove(path)

    def find_secret_paths(self) -> frozenset[KeyPath]:
        """Returns the paths whose value comes from a secret key, directly or through others."""
        secret = {path for path, text in self.texts.items() if reads_secret(text)}
        while True:
            others = self.texts.keys() - secret
            more = {path for path in others if self._refers_to_any(path, secret)}
            if not more:
                return frozenset(secret)
            secret |= more

    def _refers_to_any(self, path: KeyPath, targets: Collection[KeyPath]) -> bool:
        keys = find_referenced_keys(self.texts[path], path)
        return any(paths_overlap(self._own_path(key), target) for key in keys for target in targets)

    def _own_path(self, key: str | tuple[str, ...]) -> tuple[str, ...]:
        """Returns the path in the configuration of a key that a reference names."""
        path = tuple(key.strip().split(".")) if isinstance(key, str) else key
        return path[1:] if path[0] == self.self_name else path

    # --- Steps 1 and 2: what OmegaConf finds, and what it would make of it.

    def _add_context(self) -> None:
        """Adds the parts of the context that the texts may refer to; adding all of it is slow."""
        texts = self.texts.values()
        # An interpolation inside another one computes the name of a key, which may be any key.
        computed = any(text.count("${") > 1 for text in texts)
        own = OmegaConf.to_container(self.config) if self.self_name else None
        for key, value in self.context.items():
            if computed or key == self.self_name or any(key in text for text in texts):
                self.config[key] = escape(value)
        if self.self_name:
            self.config[self.self_name] = OmegaConf.merge(own, self.config.get(self.self_name, {}))

    def _name_primary_keys(self) -> None:
        """Lets `${ports.http}` mean the number of the port where another layer gave a mapping."""
        for path, text in self.texts.items():
            # A port that is `${ports.other}` takes all of the other's settings.
            if is_whole(text) and self._primary_key(path):
                continue
            text = REFERENCE.sub(self._name_primary_key, text)
            text = SELECTED_KEY.sub(lambda match: match[0] + self._primary_suffix(match[1]), text)
            self._rewrite(path, text)

    def _name_primary_key(self, match: re.Match[str]) -> str:
        suffix = self._primary_suffix(match["key"])
        reference = f"${{{match['key'].strip()}{suffix}}}"
        return f"{match['backslashes']}{reference}" if suffix else match[0]

    def _primary_suffix(self, key: str) -> str:
        """Returns ".containerPort" for "ports.http" where that is a mapping, else ""."""
        own = self._own_path(key)
        primary, value = self._primary_key(own), get_at(self.data, own)
        return f".{primary}" if isinstance(value, dict) and primary in value else ""

    def _primary_key(self, path: KeyPath) -> str:
        form = self._forms.at(path)
        return form.primary if form else ""

    @cached_property
    def _forms(self) -> FormTree:
        return next((layer.forms for layer in self.layers if layer.forms.below), NO_FORMS)

    def _spell_values(self) -> None:
        """Writes true, false and numbers such as 1.10 into texts as YAML writes them.

        OmegaConf would insert `str(value)`: True and 1.1.
        """
        for path in self.texts:
            text = self._text_at(path)
            if isinstance(text, str) and not is_whole(text):
                self._rewrite(path, REFERENCE.sub(self._spell_reference, text))

    def _spell_reference(self, match: re.Match[str]) -> str:
        key = match["key"].strip()
        # OmegaConf halves the backslashes before a reference, not those before other text.
        if match["backslashes"] or key.startswith("."):
            return match[0]
        value = self._select(key)
        return self._spell(value, key) if isinstance(value, bool | float) else match[0]

    def _spell(self, value: Any, key: str) -> str:
        """Returns a number or truth as it is written at `key`, through other interpolations."""
        if isinstance(value, bool):
            return "true" if value else "false"
        own: KeyPath = self._own_path(key)
        for _ in range(_LONGEST_CHAIN):
            if not (next_key := read_whole_reference(self.texts.get(own, ""))):
                break
            own = self._own_path(next_key)
        layer = find_layer(self.layers, own, self.origins.get(own, (None,))[-1])
        return (layer.spelling(own) if layer else None) or str(value)

    def _text_at(self, path: KeyPath) -> Any:
        # The raw text: reading it as usual would resolve it.
        return _parent(self.config, path)._get_node(path[-1])._value()

    def _rewrite(self, path: KeyPath, text: str) -> None:
        if text != self._text_at(path):
            _parent(self.config, path)[path[-1]] = text

    # --- Step 3: the values.

    def _select(self, key: str) -> Any:
        """Returns the value that a reference to `key` gives; None where it cannot be resolved."""
        try:
            return OmegaConf.select(self.config, key)
        except _CANNOT_RESOLVE:
            return None

    def _resolve(self, path: KeyPath) -> Any:
        try:
            value = _parent(self.config, path)[path[-1]]
            if OmegaConf.is_config(value):
                return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        except _CANNOT_RESOLVE:
            return None
        return value

    def _write(self, path: KeyPath, text: str, value: Any) -> None:
        if not is_whole(text):
            for name in find_references(text):
                self._check_inside_text(path, name)
        elif isinstance(value, bool | int | float):
            key = read_whole_reference(text)
            self.numbers[path] = self._spell(value, key) if key else str(value)
        _parent(self.data, path)[path[-1]] = value
        for below in _paths_below(value, path):
            self.origins[below] = self.origins[path]

    def _check_inside_text(self, path: KeyPath, name: str) -> None:
        # OmegaConf would insert {'a': 1} for a mapping.
        value = OmegaConf.select(self.config, name)
        if not OmegaConf.is_config(value) or self._primary_key(self._own_path(name)) in value:
            return
        shape = "a mapping" if OmegaConf.is_dict(value) else "a list"
        message = f'refers to "{name}" inside a text, and that is {shape}; name one value in it'
        self._report(path, Code.BAD_INTERPOLATION, message, name)

    # --- Step 4: the errors.

    def _explain(self, path: KeyPath) -> None:
        """Reports a failed interpolation, unless it failed because of another error."""
        references = find_references(self.failed[path])
        if self._reaches_itself(path):
            shown = ", ".join(f"${{{name}}}" for name in references) or "it"
            message = f"refers to itself through {shown}; give one of them a value of its own"
            self._report(path, Code.CIRCULAR_REFERENCE, message, *references[:1])
            return
        if any(self._is_already_reported(name) for name in references):
            return
        missing = [name for name in references if self._select(name) is None]
        advice = describe_escape(self._forms, path)
        if not missing:
            message = f"cannot be resolved; expected ${{key}} or ${{key.below}}; {advice}"
            self._report(path, Code.BAD_INTERPOLATION, message)
            return
        message = f'refers to "{missing[0]}", {self._describe_missing(missing[0])}; {advice}'
        diagnostic = self._report(path, Code.MISSING_REFERENCE, message, missing[0])
        self.missing_references[diagnostic] = tuple(self._own_path(name) for name in missing)

    def _describe_missing(self, name: str) -> str:
        """Returns why a reference to `name` finds nothing, and what to do."""
        paths = [*_paths_below({**self.data, **self.context}, ())]
        known = {".".join(map(str, path)): path for path in reversed(paths)}
        if name not in known:
            hint = did_you_mean(name, known)
            return (
                f"which has no value here; {hint}{' ' if hint else ''}"
                "the model's own keys, environment.* and stack.* can be named"
            )
        if any("." in str(key) for key in known[name]):
            return f"whose key contains a dot; did you mean ${{{_with_brackets(known[name])}}}?"
        # A part of `canary.candidate` is resolved for the candidate alone.
        return "which exists, but has no value here; write the value out"

    def _reaches_itself(self, start: KeyPath) -> bool:
        """Returns True where following the failed references from `start` leads back to it."""
        reached: set[KeyPath] = set()
        waiting = [start]
        while waiting:
            references = find_references(self.failed[waiting.pop()])
            keys = [self._own_path(name) for name in references]
            for path in self.failed:
                if path not in reached and any(paths_overlap(key, path) for key in keys):
                    reached.add(path)
                    waiting.append(path)
        return start in reached

    def _is_already_reported(self, name: str) -> bool:
        """Returns True where `name` has no value because of another error."""
        key = self._own_path(name)
        return any(paths_overlap(key, path) for path in (*self.broken, *self.failed))

    def _report(self, path: KeyPath, code: Code, message: str, name: str = "") -> Diagnostic:
        """Reports an error about a text, at the line of the text that refers to `name`."""
        position = self.origins[path][-1]
        for layer in self.layers if name else ():
            if layer.document.path == position.path:
                position = layer.document.find_in_block(position, f"${{{name}}}")
                break
        diagnostic = position.diagnostic(code, f"{FieldPath(path)} {message}")
        self.diagnostics.append(diagnostic)
        return diagnostic

    def _remove(self, path: KeyPath) -> None:
        parent = _parent(self.data, path)
        if isinstance(parent, list):
            # Removing the item would change the indexes of the others.
            parent[cast(int, path[-1])] = None
        else:
            del parent[path[-1]]
            del self.origins[path]


def _parent(container: Any, path: KeyPath) -> Any:
    for key in path[:-1]:
        container = container[key]
    return container


def _with_brackets(path: KeyPath) -> str:
    """Returns a path as interpolations name it: `labels[a\\.b/c]`."""
    first, *rest = map(str, path)
    escaped = (key.replace(".", r"\.") for key in rest)
    return first + "".join(f"[{key}]" if "." in key else f".{key}" for key in escaped)


def _paths_below(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, child in items:
        yield (*path, key)
        yield from _paths_below(child, (*path, key))
