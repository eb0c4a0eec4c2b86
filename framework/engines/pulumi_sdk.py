"""Switches off parts of Pulumi's Python SDK that the engines do not need."""

from __future__ import annotations

import pulumi.log
import pulumi.runtime.resource
from pulumi.runtime.proto import source_pb2


def leave_out_details() -> None:
    """Stops the SDK from sending debug messages and call stacks, which nobody here reads.

    The SDK has no option for either. It sends half a dozen debug messages for each resource, and
    reads the whole call stack twice. The CLI would record each stack of about twenty frames, which
    is a quarter of the state, and it writes the whole state at each step.
    """
    pulumi.log.debug = lambda *args, **options: None
    pulumi.runtime.resource._get_stack_trace = source_pb2.StackTrace
