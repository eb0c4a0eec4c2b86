"""The recorded state of a stack: checkpoint, journal, file backend, locks and secrets.

Both engines use it. The formats are those of the pulumi CLI, so that either engine can take over
a stack from the other.
"""
