"""The embedded engine: Pulumi's resource monitor and its scheduling in this process.

This module imports nothing: the program's process imports it before `host`, and every import here
would delay each preview.
"""
