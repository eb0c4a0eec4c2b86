"""Layers of settings, merged and interpolated by OmegaConf, with the origin of every value.

Kept apart because it is the only importer of omegaconf: there is one merge, whose traps are met
here and nowhere else.

Text that starts with `${` and is not a reference, as in the arguments of a container, is written
with a backslash: `\\${HOME}` reaches the container as `${HOME}`.
"""

from framework.layers.layer import Layer, Shape
from framework.layers.layers import Layers, Merged, merge_layers

__all__ = ["Layer", "Layers", "Merged", "Shape", "merge_layers"]
