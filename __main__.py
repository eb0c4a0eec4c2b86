"""The one Pulumi program: registers the plan of the selected stack."""

from pathlib import Path

import pulumi

from framework.program import load_stack_plan, register_stack

register_stack(load_stack_plan(Path(__file__).parent, pulumi.get_stack()))
