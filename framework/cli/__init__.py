"""The command line: parses arguments, calls one verb, prints, asks, and chooses an exit code."""
