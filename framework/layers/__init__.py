"""Merges layers of settings with OmegaConf, and keeps the origin of every value.

This package is the only importer of omegaconf. A layer is one YAML file or a part of one. A layer
stack has all layers of a model in merge order: later layers override earlier ones.

Text that begins with `${` but is not a reference, as in the arguments of a container, is written
with a backslash: `\\${HOME}` reaches the container as `${HOME}`.
"""

from framework.layers.layer import Layer, Shape
from framework.layers.merged import Merged
from framework.layers.references import find_referenced_keys
from framework.layers.stack import LayerStack

__all__ = ["Layer", "LayerStack", "Merged", "Shape", "find_referenced_keys"]
