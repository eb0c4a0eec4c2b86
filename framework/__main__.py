"""`python -m framework VERB [ENV]`."""

import gc
import sys

if __name__ == "__main__":
    # Most of what a run makes lives to its end; looking through it over and over takes a fifth of
    # the time of a large catalog.
    gc.set_threshold(100_000, 20, 20)
    try:
        from framework.cli.main import main

        sys.exit(main())
    except KeyboardInterrupt:
        # Before there was anything to interrupt, or a second time.
        sys.exit(1)
