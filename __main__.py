"""The one Pulumi program: load the stack's plan, register it."""

from pathlib import Path

import pulumi

from framework.plan import load_plan
from framework.program import register_stack

register_stack(load_plan(Path(__file__).parent, pulumi.get_stack()))
