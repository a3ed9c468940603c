"""Where the command starts: a Ctrl-C while Python still imports the rest is no reason for a traceback."""

import os
import sys


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


if __name__ == "__main__":
    start()
