"""`import` writes entries that render to the manifests they came from."""

from __future__ import annotations

from pathlib import Path

from framework.edits.importing.importer import Imported, import_manifests
from framework.edits.importing.manifests import read_manifests
from tests.edits.conftest import Write
from tests.edits.manifests import CHAT

PLAIN = {"catalog/_defaults.yaml": "preStopSeconds: 0\nrollout: {maxSurge: 1}\n"}


def import_one(root: Path, text: str) -> Imported:
    """Imports the only Deployment of a text, without profiles."""
    (model,) = import_manifests(
        root, read_manifests(["-"], text), profiles=(), owner="team-x"
    ).models
    return model


def test_entry_renders_to_the_manifests(write: Write) -> None:
    model = import_one(write(PLAIN), CHAT)
    assert model.errors == ()
    assert not model.proof.remaining
    assert not model.proof.added
    assert not model.proof.objects
    assert model.proof.by_patch == 0
    assert model.proof.by_setting > 40


def test_entry_has_settings_and_no_defaults(write: Write) -> None:
    entry = import_one(write(PLAIN), CHAT).entry
    assert entry["image"] == {"repository": "docker.io/vllm/vllm-openai", "tag": "v0.10.1"}
    assert entry["env"]["POD_IP"] == {"field": "status.podIP"}
    assert entry["startupSeconds"] == 300
    assert entry["autoscaling"] == {"minReplicas": 2, "maxReplicas": 6, "cpu": 70}
    assert entry["disruptionBudget"] == {"minAvailable": 1}
    assert entry["rollout"] == {
        "maxSurge": "25%",
        "maxUnavailable": "25%",
        "revisionHistoryLimit": 10,
    }
    assert "preStopSeconds" not in entry
