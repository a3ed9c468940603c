"""Start the command, and let no traceback reach a person however it ends."""

import os
import signal
import sys

FAULT = 70  # EX_SOFTWARE of sysexits.h


def start() -> None:
    try:
        # Where a stream is closed its number is free, and would go to the next connection that is opened.
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:
                setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))
        from cli.main import main

        main(prog_name="nightshift")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as exc:
        from cli.ends import told_as_fault

        told_as_fault(exc)
        sys.exit(FAULT)
    finally:
        # Another Ctrl-C while Python ends would show one after all.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    start()
