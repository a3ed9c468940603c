"""Reports where a job is blocked shortly before Lambda ends the invocation. Afterwards the process cannot report it."""

import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds before Lambda ends the invocation: enough to open a connection and write one row.
NOTE_RESERVE_S = 9

# The folders of code that is not part of a job.
LIBRARIES = (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], "/opt/python", "<frozen")


@contextmanager
def watching(note: Callable[[str], None], *, remaining_s: float) -> Iterator[None]:
    """Call ``note`` with this thread's position if the block is still running shortly before the invocation ends."""
    if remaining_s <= NOTE_RESERVE_S:
        yield
        return
    watched = threading.get_ident()
    timer = threading.Timer(remaining_s - NOTE_RESERVE_S, lambda: note(blocked_at(watched)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def blocked_at(thread: int) -> str:
    """Return an error that names the line of the job at which the thread is blocked."""
    frame = sys._current_frames().get(thread)
    place = _line_of_job(frame)
    return f"The job did not return before Lambda's time limit; it was at {place}. Set a timeout for slow calls"


def _line_of_job(frame: FrameType | None) -> str:
    innermost = frame
    while frame is not None:
        if not frame.f_code.co_filename.startswith(LIBRARIES):
            return _place(frame)
        frame = frame.f_back
    return _place(innermost) if innermost else "an unknown line"


def _place(frame: FrameType) -> str:
    folder_and_file = "/".join(frame.f_code.co_filename.split("/")[-2:])
    return f"{folder_and_file}:{frame.f_lineno} in {frame.f_code.co_name}"
