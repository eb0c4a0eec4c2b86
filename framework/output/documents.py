"""The type of each verb's JSON, and the JSON Schemas of all of them.

The types are frozen dataclasses, in one module for each family of verbs (`catalog_documents.py`,
`stack_documents.py`, `drift_documents.py`, `importing_json.py`). Their fields in camelCase are
the keys. Results of other packages that have the right shape are used as they are. Other programs
read these keys: a key stays once it is released, and `schemas/output/` shows every change of them
in a review.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from framework.output.catalog_documents import (
    Affected,
    Bump,
    CommitDiff,
    EnvironmentDiff,
    FieldsExplanation,
    Listing,
    RenderedFolder,
    SettingsExplanation,
    Validation,
)
from framework.output.drift_documents import Drift
from framework.output.importing_json import ImportDocument
from framework.output.stack_documents import (
    ClusterStatusDocument,
    PlanDocument,
    PreviewDocument,
    Status,
)

# The type of each verb's JSON. `render` prints manifests, `outputs` what the program exports.
DOCUMENTS: dict[str, Any] = {
    "validate": Validation,
    "list": Listing,
    "explain": SettingsExplanation | FieldsExplanation,
    "diff": EnvironmentDiff | CommitDiff,
    "affected": Affected,
    "render": list[dict[str, Any]] | RenderedFolder,
    "status": Status,
    "outputs": dict[str, Any],
    "preview": PreviewDocument,
    "drift": Drift,
    "cluster-status": ClusterStatusDocument,
    "bump": Bump,
    "import": ImportDocument,
}


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        # A title of "Max Replicas" for the key `maxReplicas` adds nothing.
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        # The default of a key that is always written is of no use to a reader.
        return self.generate_inner(schema["schema"])


# The types of files that verbs write, by option.
FILES: dict[str, Any] = {"plan": PlanDocument}


def build_output_schemas() -> dict[str, dict[str, Any]]:
    """Returns the JSON Schema of each verb's JSON, and of each file, by its file name."""
    schemas = {}
    for name, document in {**DOCUMENTS, **FILES}.items():
        schema = TypeAdapter(document).json_schema(mode="serialization", schema_generator=_Schema)
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        title = f"file of {name.upper()}=" if name in FILES else f"{name} --json"
        schemas[f"{name}.schema.json"] = {**head, **schema, "title": title}
    return schemas
