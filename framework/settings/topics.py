"""Groups the settings of a model by task, in the order of the reference page.

The common settings are those that most public manifests of model servers use, in the order in which
one writes a model.
"""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """One section of the page; `settings` are keys of a model in the order of the section."""

    title: str
    introduction: str
    settings: tuple[str, ...]


COMMON = (
    "owner", "profiles", "image.repository", "image.tag", "replicas", "args", "env",
    "ports", "resources.requests", "resources.limits", "gpus", "startupSeconds",
    "probes.readiness", "volumes", "config", "autoscaling", "rollout.maxSurge",
    "rollout.maxUnavailable", "canary.candidate", "patch",
)  # fmt: skip

TOPICS = (
    Topic(
        "Describe a model",
        "Who owns it, what it is, and whether it runs.",
        ("owner", "profiles", "description", "links", "enabled", "previousName", "variables"),
    ),
    Topic(
        "Choose the image and start the server",
        "The process in the model's container.",
        (
            "image", "command", "args", "workingDir", "env", "envFrom", "stdin", "stdinOnce", "tty",
            "terminationMessagePath", "terminationMessagePolicy",
        ),
    ),
    Topic(
        "Give it CPU, memory and GPUs",
        "What each Pod reserves, and the nodes that it may run on.",
        ("resources", "gpus", "scheduling"),
    ),
    Topic(
        "Mount weights, files and storage",
        "Volumes, and files that the catalog contains.",
        ("volumes", "mounts", "config"),
    ),
    Topic(
        "Start, check and stop",
        "Probes, and the time that a Pod has to start and to stop.",
        (
            "startupSeconds", "probes", "lifecycle", "preStopSeconds",
            "terminationGracePeriodSeconds",
        ),
    ),
    Topic(
        "Scale",
        "The number of Pods.",
        ("replicas", "autoscaling", "disruptionBudget"),
    ),
    Topic(
        "Roll out, and try a new version beside the old one",
        "What an update may add and take away, and the canary.",
        ("rollout", "canary"),
    ),
    Topic(
        "Let others reach it",
        "Ports, Services, Ingress and NetworkPolicy.",
        ("ports", "service", "services", "ingress", "networkPolicy"),
    ),
    Topic(
        "Add containers",
        "Containers that prepare the Pod, or run beside the model.",
        ("initContainers", "sidecars"),
    ),
    Topic(
        "Limit what it may do",
        "User, capabilities, permissions, and exceptions from the environment's policy.",
        ("security", "serviceAccount", "waivers"),
    ),
    Topic(
        "Label and annotate",
        "Metadata of the objects.",
        ("labels", "podLabels", "annotations", "podAnnotations"),
    ),
    Topic(
        "Everything else",
        "Settings that few models need, fields without a setting, and objects of other kinds.",
        ("pod", "patch", "objects"),
    ),
)  # fmt: skip
