"""Writes results as text, Markdown, JSON, SARIF, HTML, metrics and GitHub annotations.

Decides nothing.
"""
