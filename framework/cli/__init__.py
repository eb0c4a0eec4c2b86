"""The command line: parses arguments, calls one verb, prints the result, sets the exit code."""
