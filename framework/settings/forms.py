"""Declares short forms of settings, and collects the forms of all settings for the merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from framework.core.forms import ANY, Form, FormTree
from framework.settings.base import Settings, one_of


@dataclass(frozen=True)
class Shorthand:
    """Lets a single value of type `single` stand for a mapping that has only the key `key`."""

    key: str
    single: Any

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        single_type = get_origin_type(self.single)
        expected = {int: int, Literal[False]: bool}.get(single_type, str)

        def expand(value: Any) -> Any:
            return {self.key: value} if isinstance(value, expected) else value

        mapping = handler(source)
        single = handler.generate_schema(self.single)
        return core_schema.no_info_before_validator_function(
            expand, mapping, json_schema_input_schema=core_schema.union_schema([single, mapping])
        )


@dataclass(frozen=True)
class Kinds:
    """Lets a value be of several kinds, each recognized by one of `sources`.

    A value of another kind in a later layer replaces the earlier value with all its keys.
    """

    sources: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def replaces(self) -> Mapping[str, frozenset[str]]:
        """The keys of earlier layers that each source makes void."""
        return one_of(*self.sources, options=self.options)


@dataclass(frozen=True)
class FileText:
    """Lets a text be a mapping of `text` and `interpolate`."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "format": "file-text"}


def get_origin_type(annotation: Any) -> Any:
    """Returns a type without its metadata."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


@cache
def build_forms(settings_type: type[Settings]) -> FormTree:
    """Returns the forms of a settings class and of everything below it."""
    replaces = settings_type.replaces
    tree = FormTree(Form(replaces=replaces) if replaces else None)
    for name, info in settings_type.model_fields.items():
        # pydantic moves the metadata of a plain Annotated field from its type to the field.
        annotation: Any = info.annotation
        for item in info.metadata:
            annotation = Annotated[annotation, item]
        below = _build(annotation)
        if below.form or below.below:
            tree.below[info.alias or name] = below
    return tree


def _build(annotation: Any) -> FormTree:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        # A copy: the form of a field may differ from that of its class.
        of_class = build_forms(annotation) if issubclass(annotation, Settings) else FormTree()
        return FormTree(of_class.form, of_class.below)
    if origin is Annotated:
        tree = _build(arguments[0])
        for item in arguments[1:]:
            tree.form = _add(tree.form, item)
        return tree
    if origin is dict:
        values = _build(arguments[1])
        return FormTree(None, {ANY: values} if values.form or values.below else {})
    if origin in (tuple, list):
        return FormTree(Form(is_list=True))
    tree = FormTree()
    for arm in arguments if origin is not None else ():
        below = _build(arm)
        tree.form, tree.below = tree.form or below.form, {**tree.below, **below.below}
    return tree


def _add(form: Form | None, item: Any) -> Form | None:
    if isinstance(item, Shorthand):
        return Form(primary=item.key, replaces=form.replaces if form else {})
    if isinstance(item, Kinds):
        return Form(is_single=True, replaces=item.replaces)
    return Form(is_text=True) if isinstance(item, FileText) else form
