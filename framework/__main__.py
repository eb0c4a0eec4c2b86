"""`python -m framework VERB [ENV]`."""

import gc
import sys

from framework.core.crash_report import CrashReports


def _run(reports: CrashReports) -> int:
    try:
        from framework.cli.main import main

        code = main()
    except KeyboardInterrupt:
        # Before there was anything to interrupt, or a second time.
        return 1
    except Exception as error:
        # Before the command line was there to say it: an import that fails.
        reports.report(error)
        return 1
    # A thread that crashed may have done half of its work.
    return code or (1 if reports.count else 0)


if __name__ == "__main__":
    # Most of what a run makes lives to its end; looking through it over and over takes a fifth of
    # the time of a large catalog.
    gc.set_threshold(100_000, 20, 20)
    crash_reports = CrashReports()
    crash_reports.install()
    sys.exit(_run(crash_reports))
