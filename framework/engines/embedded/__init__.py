"""The embedded engine: Pulumi's resource monitor and its scheduling in this process.

Without imports on purpose: the program's process imports this package on its way to `host`, and
every import here would delay each preview.
"""
