"""Writes results as text, Markdown, JSON and GitHub annotations; decides nothing."""
