"""The embedded engine: Pulumi's resource monitor, its state and its scheduling in this process.

Empty of imports on purpose: the program's process imports this package on its way to `host`, and
every import here would be paid by each preview.
"""
