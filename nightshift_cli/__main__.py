"""Start the command, and never show a traceback."""

import os
import signal
import sys

FAULT = 70  # EX_SOFTWARE of sysexits.h


def start() -> None:
    try:
        # The file descriptor of a closed stream is free: the next connection would take it.
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:
                setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))
        from nightshift_cli.main import main

        main(prog_name="nightshift")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as exc:
        from nightshift_cli.base.ends import told_as_fault

        told_as_fault(exc)
        sys.exit(FAULT)
    finally:
        # A second Ctrl-C while Python exits would still print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    start()
