"""Says where a job stands when its Lambda is about to be ended: the process will have no time to say it afterwards."""

import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Before Lambda ends the invocation (seconds): enough to open a connection and write one row.
NOTE_RESERVE_S = 9

# Where code lies that no author of a job wrote.
LIBRARIES = (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], "/opt/python", "<frozen")


@contextmanager
def watching(note: Callable[[str], None], *, remaining_s: float) -> Iterator[None]:
    """Call ``note`` with the place of this thread if the block is still running shortly before the invocation ends."""
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
    """Return the sentence that names the line of the job at which the thread stands."""
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
