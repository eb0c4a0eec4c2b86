"""Names that the framework gives to the objects it builds, so that users cannot take them.

This module imports nothing, so that the rules of the kinds can be read without pydantic.
"""

MODEL_CONTAINER = "model"
CONFIG_VOLUME = "config-files"

# Kubernetes sets this label on every Namespace, so a Namespace can be selected by name.
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def config_volume(container: str) -> str:
    """Returns the name of the volume with the config files of a container."""
    return CONFIG_VOLUME if container == MODEL_CONTAINER else f"{CONFIG_VOLUME}-{container}"
