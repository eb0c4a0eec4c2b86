"""Interpolations such as `${image.tag}`: what they may contain, and how they are resolved.

The functions at the top check and parse a single text. `Resolution` resolves all interpolations of
a merged configuration and reports the ones that fail, each with its position.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException
from omegaconf.grammar_parser import parse

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.field_paths import FieldPath, get_at, paths_overlap
from framework.core.forms import NO_FORMS, FormTree
from framework.core.redaction import mentions_secret
from framework.core.suggestions import did_you_mean

if TYPE_CHECKING:
    from framework.layers.layer import Layer

# oc.select computes nothing and is the only way to write a fallback. The others are refused: oc.env
# reads the machine, and oc.decode, oc.create or a computed resolver name could do so unseen.
_ALLOWED_RESOLVERS = frozenset({"oc.select"})

_PLAIN = re.compile(r"\$\{[A-Za-z_]\w*(?:\.[A-Za-z_][\w-]*)*\}")
# An even number of backslashes is a literal backslash before each pair, and escapes nothing.
_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\$\{([^${}:]+)\}")
_WHOLE = re.compile(r"\$\{[^${}]+\}")
_WHOLE_REFERENCE = re.compile(r"\$\{([^.${}:][^${}:]*)\}")
# One reference, after the backslashes before it.
_SINGLE = re.compile(r"(?<!\\)((?:\\\\)*)\$\{([^${}:]+)\}")
_LONGEST_CHAIN = 100
_SELECT = re.compile(r"\$\{\s*oc\.select\s*:\s*['\"]?([^,}'\"]+)")
_INSIDE = re.compile(r"\$\{([^}]*)")
_WORD = re.compile(r"[\w-]+")
_OPENING = re.compile(r"(\\*)\$\{")
_ESCAPE = r"write \${ for a literal ${"


def describe_escape(forms: FormTree, path: KeyPath) -> str:
    """Returns how to write `${` literally in the text at a path."""
    form, outer = forms.at(path), forms.at(path[:-1])
    has_mapping_form = (form and form.is_text) or (outer and outer.is_list)
    return f"{_ESCAPE}, or set interpolate: false" if has_mapping_form else _ESCAPE


def find_misuse(text: str, escape_advice: str = _ESCAPE) -> str:
    """Returns what is wrong with the interpolations of one text; "" if they are well-formed."""
    # Parsing is slow, and most texts have only plain references, which are always valid.
    rest = _PLAIN.sub("", text)
    if "${" not in rest and "\\" not in rest:
        return ""
    try:
        tree = parse(text)
    except GrammarParseError:
        return (
            f"is not a complete interpolation; expected ${{key}} or ${{key.below}}; {escape_advice}"
        )
    for name in _find_resolvers(tree):
        if name not in _ALLOWED_RESOLVERS:
            allowed = ", ".join(sorted(_ALLOWED_RESOLVERS))
            return (
                f'calls the resolver "{name}", which is refused: the same files must give the same '
                f"result on every machine; allowed: {allowed}; {escape_advice}"
            )
    return ""


def _find_resolvers(tree: Any) -> Iterator[str]:
    # Only the grammar's node for a resolver call has this method.
    if hasattr(tree, "resolverName"):
        yield tree.resolverName().getText()
    for index in range(tree.getChildCount()):
        child = tree.getChild(index)
        if hasattr(child, "getChildCount"):
            yield from _find_resolvers(child)


def _find_references(text: str) -> tuple[str, ...]:
    """Returns the dotted keys that `text` refers to, without escaped ones: ("image.tag",)."""
    return tuple(match.strip() for match in _REFERENCE.findall(text))


def find_referenced_keys(text: str, path: KeyPath) -> Iterator[tuple[str, ...]]:
    """Yields the paths of the keys that the text at `path` refers to.

    Leading dots are relative to `path`, as in OmegaConf: at `a.b`, `${.c}` refers to `a.c`.
    """
    for name in (*_find_references(text), *(key.strip() for key in _SELECT.findall(text))):
        dots = len(name) - len(name.lstrip("."))
        start = tuple(map(str, path[: len(path) - dots])) if dots else ()
        yield (*start, *name[dots:].split("."))


def escape(value: Any) -> Any:
    """Returns plain data in which every text resolves to itself in OmegaConf."""
    if isinstance(value, dict):
        return {key: escape(child) for key, child in value.items()}
    if isinstance(value, list):
        return [escape(child) for child in value]
    if isinstance(value, str) and "${" in value:
        # OmegaConf reads `\\${` as a backslash and a reference: existing backslashes are doubled.
        return _OPENING.sub(lambda match: match[1] * 2 + r"\${", value)
    return value


class Resolution:
    """Resolves the interpolations of a merged configuration, and collects every error.

    `data` and `origins` are the plain merged result and are updated in place. `texts` has the
    interpolations by path. `broken` has the paths that are missing because of errors that are
    reported already: an interpolation that refers to one fails without a diagnostic of its own.
    `context` is data outside the configuration that interpolations can refer to, and `self_name`
    a name under which they can refer to the configuration itself. `layers` were merged into it.

    After `run`, `failed` has the interpolations that could not be resolved, by path, and
    `missing_references` the keys that do not exist, by the diagnostic about them. `numbers` has the
    text of each number, true and false that an interpolation gave, as YAML writes it.
    """

    def __init__(
        self,
        config: DictConfig,
        data: dict[str, Any],
        origins: dict[KeyPath, tuple[Position, ...]],
        texts: Mapping[KeyPath, str],
        broken: frozenset[KeyPath],
        context: Mapping[str, Any],
        self_name: str,
        layers: Sequence[Layer],
    ) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.failed: dict[KeyPath, str] = {}
        self.missing_references: dict[Diagnostic, tuple[tuple[str, ...], ...]] = {}
        self.numbers: dict[KeyPath, str] = {}
        self._layers = layers
        self._forms = next((layer.forms for layer in layers if layer.forms.below), NO_FORMS)
        self._config, self._data, self._origins = config, data, origins
        self._texts, self._broken = texts, broken
        self._context, self._self_name = context, self_name

    def run(self) -> None:
        """Writes every resolved value into the data; a failed interpolation is removed from it."""
        self._name_primary_keys()
        self._spell_out()
        for path, text in self._texts.items():
            try:
                value = self._resolve(path)
            # OmegaConf follows references by recursion, and meets a circle as a RecursionError.
            except (OmegaConfBaseException, RecursionError):
                value = None
            if value is None:
                self.failed[path] = text
            else:
                self._write(path, text, value)
        for path in self.failed:
            self._explain(path)
        for path in self.failed:
            self._remove(path)

    def _name_primary_keys(self) -> None:
        """Lets `${ports.http}` mean the number of the port where another layer gave a mapping."""
        for path, text in self._texts.items():
            is_setting = _WHOLE.fullmatch(text) and self._primary_key(path)

            def name(match: re.Match[str], is_setting: Any = is_setting) -> str:
                suffix = "" if is_setting else self._primary_suffix(match[2])
                # A port that is `${ports.other}` takes all of the other's settings.
                return f"{match[1]}${{{match[2].strip()}{suffix}}}" if suffix else match[0]

            def name_selected(match: re.Match[str], is_setting: Any = is_setting) -> str:
                return match[0] + ("" if is_setting else self._primary_suffix(match[1]))

            self._rewrite(path, _SELECT.sub(name_selected, _SINGLE.sub(name, text)))

    def _primary_suffix(self, key: str) -> str:
        """Returns ".containerPort" for "ports.http" where that is a mapping, else ""."""
        own = self._own_path(tuple(key.strip().split(".")))
        primary, value = self._primary_key(own), get_at(self._data, own)
        return f".{primary}" if isinstance(value, dict) and primary in value else ""

    def _primary_key(self, path: KeyPath) -> str:
        form = self._forms.at(path)
        return form.primary if form else ""

    def _spell_out(self) -> None:
        """Writes true, false and numbers such as 1.10 into texts as YAML writes them.

        OmegaConf would insert `str(value)`: True and 1.1.
        """
        for path in self._texts:
            text = _parent(self._config, path)._get_node(path[-1])._value()
            if isinstance(text, str) and not _WHOLE.fullmatch(text):
                self._rewrite(path, _SINGLE.sub(self._spell_reference, text))

    def _spell_reference(self, match: re.Match[str]) -> str:
        key = match[2].strip()
        if match[1] or key.startswith("."):
            return match[0]
        try:
            value = OmegaConf.select(self._config, key)
        except (OmegaConfBaseException, RecursionError):
            return match[0]
        return self._spell(value, key) if isinstance(value, bool | float) else match[0]

    def _spell(self, value: Any, key: str) -> str:
        """Returns a number or truth as it is written at `key`, through other interpolations."""
        if isinstance(value, bool):
            return "true" if value else "false"
        own: KeyPath = self._own_path(tuple(key.split(".")))
        for _ in range(_LONGEST_CHAIN):
            if not (match := _WHOLE_REFERENCE.fullmatch(self._texts.get(own, ""))):
                break
            own = self._own_path(tuple(match[1].strip().split(".")))
        origin = self._origins.get(own, (None,))[-1]
        for layer in reversed(self._layers):
            if layer.has(own) and layer.value_position(own) == origin:
                return layer.spelling(own) or str(value)
        return str(value)

    def _rewrite(self, path: KeyPath, text: str) -> None:
        if text != _parent(self._config, path)._get_node(path[-1])._value():
            _parent(self._config, path)[path[-1]] = text

    def find_secret_paths(self) -> frozenset[KeyPath]:
        """Returns the paths whose value comes from a secret key, directly or through others."""
        secret = {path for path, text in self._texts.items() if _reads_secret(text)}
        while True:
            others = self._texts.keys() - secret
            more = {path for path in others if self._refers_to_any(path, secret)}
            if not more:
                return frozenset(secret)
            secret |= more

    def _refers_to_any(self, path: KeyPath, targets: Collection[KeyPath]) -> bool:
        keys = find_referenced_keys(self._texts[path], path)
        return any(paths_overlap(self._own_path(key), target) for key in keys for target in targets)

    def _resolve(self, path: KeyPath) -> Any:
        value = _parent(self._config, path)[path[-1]]
        if OmegaConf.is_config(value):
            return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        return value

    def _write(self, path: KeyPath, text: str, value: Any) -> None:
        # A text that is one interpolation takes over the type of the value: `${replicas}` is an
        # int. In any other text, the value is inserted as text.
        if not _WHOLE.fullmatch(text):
            for name in _find_references(text):
                self._check_inside_text(path, name)
        elif isinstance(value, bool | int | float):
            match = _WHOLE_REFERENCE.fullmatch(text)
            self.numbers[path] = self._spell(value, match[1].strip()) if match else str(value)
        _parent(self._data, path)[path[-1]] = value
        for below in _paths_below(value, path):
            self._origins[below] = self._origins[path]

    def _check_inside_text(self, path: KeyPath, name: str) -> None:
        # OmegaConf would insert {'a': 1} for a mapping.
        value = OmegaConf.select(self._config, name)
        if not OmegaConf.is_config(value) or self._has_primary_key(value, name):
            return
        shape = "a mapping" if OmegaConf.is_dict(value) else "a list"
        message = f'refers to "{name}" inside a text, and that is {shape}; name one value in it'
        self._report(path, Code.BAD_INTERPOLATION, message, name)

    def _has_primary_key(self, value: Any, name: str) -> bool:
        return self._primary_key(self._own_path(tuple(name.split(".")))) in value

    def _explain(self, path: KeyPath) -> None:
        """Reports a failed interpolation, unless it failed because of another error."""
        references = _find_references(self.failed[path])
        if self._reaches_itself(path):
            shown = ", ".join(f"${{{name}}}" for name in references) or "it"
            message = f"refers to itself through {shown}; give one of them a value of its own"
            self._report(path, Code.CIRCULAR_REFERENCE, message, *references[:1])
            return
        if any(self._is_already_reported(name) for name in references):
            return
        missing = [name for name in references if self._has_no_value(name)]
        advice = describe_escape(self._forms, path)
        if not missing:
            message = f"cannot be resolved; expected ${{key}} or ${{key.below}}; {advice}"
            self._report(path, Code.BAD_INTERPOLATION, message)
            return
        paths = [*_paths_below({**self._data, **self._context}, ())]
        known = {".".join(map(str, key)) for key in paths}
        if missing[0] in known:
            # A part of `canary.candidate` is resolved for the candidate alone.
            problem = "which exists, but has no value here; write the value out"
            path_there = next(p for p in paths if ".".join(map(str, p)) == missing[0])
            if any("." in str(key) for key in path_there):
                named = _with_brackets(path_there)
                problem = f"whose key contains a dot; did you mean ${{{named}}}?"
        else:
            hint = did_you_mean(missing[0], known)
            problem = (
                f"which has no value here; {hint}{' ' if hint else ''}"
                "the model's own keys, environment.* and stack.* can be named"
            )
        diagnostic = self._report(
            path,
            Code.MISSING_REFERENCE,
            f'refers to "{missing[0]}", {problem}; {advice}',
            missing[0],
        )
        self.missing_references[diagnostic] = tuple(
            self._own_path(tuple(name.split("."))) for name in missing
        )

    def _own_path(self, key: tuple[str, ...]) -> tuple[str, ...]:
        return key[1:] if key[0] == self._self_name else key

    def _reaches_itself(self, start: KeyPath) -> bool:
        """Returns True where following the failed references from `start` leads back to it."""
        reached: set[KeyPath] = set()
        waiting = [start]
        while waiting:
            references = _find_references(self.failed[waiting.pop()])
            keys = [self._own_path(tuple(name.split("."))) for name in references]
            for path in self.failed:
                if path not in reached and any(paths_overlap(key, path) for key in keys):
                    reached.add(path)
                    waiting.append(path)
        return start in reached

    def _is_already_reported(self, name: str) -> bool:
        """Returns True where `name` has no value because of another error."""
        key = self._own_path(tuple(name.split(".")))
        return any(paths_overlap(key, path) for path in (*self._broken, *self.failed))

    def _has_no_value(self, name: str) -> bool:
        try:
            return OmegaConf.select(self._config, name) is None
        except (OmegaConfBaseException, RecursionError):
            return True

    def _report(self, path: KeyPath, code: Code, message: str, name: str = "") -> Diagnostic:
        """Reports an error about a text, at the line of the text that refers to `name`."""
        position = self._origins[path][-1]
        for layer in self._layers if name else ():
            if layer.document.path == position.path:
                position = layer.document.find_in_block(position, f"${{{name}}}")
                break
        diagnostic = position.diagnostic(code, f"{FieldPath(path)} {message}")
        self.diagnostics.append(diagnostic)
        return diagnostic

    def _remove(self, path: KeyPath) -> None:
        parent = _parent(self._data, path)
        if isinstance(parent, list):
            # Removing the item would change the indexes of the others.
            parent[cast(int, path[-1])] = None
        else:
            del parent[path[-1]]
            del self._origins[path]


def _reads_secret(text: str) -> bool:
    """Returns True where an interpolation names a secret key, or computes the name it reads."""
    return any(
        "${" in inside or mentions_secret(_WORD.findall(inside)) for inside in _INSIDE.findall(text)
    )


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
