"""The catalog's files, each read once however many environments they serve.

Kept apart from loading, which is about one environment: a reader may be shared by all of them, and
holds nothing of any.
"""

from __future__ import annotations

from pathlib import Path

from framework.core.diagnostics import Code, Diagnostic
from framework.files import Document, load_document
from framework.layers import Layer
from framework.settings.model import Model
from framework.settings.validation import validate_layer

# What interpolations can name beside the model's own keys; no layer may set them.
CONTEXT_KEYS = ("name", "environment", "stack")
NOT_MERGED = frozenset({*CONTEXT_KEYS, "profiles"})

Prefix = tuple[str, ...]


class CatalogReader:
    """Documents and layers by path; what is wrong with one is told to everyone who asks."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._documents: dict[str, tuple[Document, list[Diagnostic]]] = {}
        self._hidden: dict[str, list[Diagnostic]] = {}
        self._layers: dict[tuple[str, Prefix], tuple[Layer, list[Diagnostic]]] = {}

    def document(self, path: str) -> tuple[Document, list[Diagnostic]]:
        """One file; what is not there is told by the search for files."""
        if path not in self._documents:
            missing = Document(path, {}, broken=frozenset({()})), list[Diagnostic]()
            is_there = (self._root / path).is_file()
            self._documents[path] = load_document(self._root, path) if is_there else missing
        return self._documents[path]

    def layer(
        self, document: Document, prefix: Prefix = (), *, own: bool = False
    ) -> tuple[Layer, list[Diagnostic]]:
        """A layer without the keys that are no settings, each a fault where it may not stand;
        `own` is a model's own file, which lists its profiles."""
        key = (document.path, prefix)
        if key not in self._layers:
            layer = Layer(document, prefix, NOT_MERGED)
            # Of a model's own file only what is hidden needs it, see `hidden_faults`.
            of_layer = [] if own else validate_layer(Model, layer, "a model")
            self._layers[key] = layer, [*layer.diagnostics, *_misplaced(layer, own=own), *of_layer]
        return self._layers[key]

    def hidden_diagnostics(self, layer: Layer) -> list[Diagnostic]:
        """What is wrong in a model's own file by itself, whatever other layers make of it."""
        key = layer.document.path
        if key not in self._hidden:
            self._hidden[key] = validate_layer(Model, layer, "a model")
        return self._hidden[key]


def _misplaced(layer: Layer, *, own: bool) -> list[Diagnostic]:
    diagnostics = []
    for key in ("profiles", *CONTEXT_KEYS):
        position = layer.key_position((key,))
        if not position or (own and key == "profiles"):
            continue
        if key == "profiles":
            message = '"profiles" is read from the model\'s own file only; move it there'
        elif key == "name":
            message = '"name" is the file\'s name; remove it, or rename the file'
        else:
            message = f'"{key}" can be named in interpolations and not set; remove it'
        diagnostics.append(position.diagnostic(Code.MISPLACED_KEY, message))
    return diagnostics
