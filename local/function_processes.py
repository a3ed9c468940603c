"""Start functions, and collect what they log, as Lambda does. ministack's own way costs each start and each call more.

ministack starts a function with a script of its own, which calls the handler again and again.
"""

import queue
from typing import Any

from ministack.core import lambda_runtime

# ministack's first step imports botocore, for a guard against functions that call each other in a loop. Ours call none.
# Without it, a process starts a third earlier.
GUARD = "    _ms_install_invoke_depth()\n"

HANDLER = "        handler_fn = getattr(mod, handler_name)\n"
# After each call, a line that no log contains. The handler may have closed sys.stderr.
END = "\0"
LOGGED = """
        def handler_fn(event, context, handle=getattr(mod, handler_name)):
            try:
                return handle(event, context)
            finally:
                os.write(2, b"\\0\\n")
"""

# A process that has died writes no end.
PATIENCE_S = 1


def call_as_aws_does() -> None:
    """Let a function's process import only what its code imports, and let each call end when its log does.

    ministack looks for the log of a call each millisecond, and for fifty of them where nothing is logged.
    """
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    for step, ours in ((GUARD, ""), (HANDLER, LOGGED)):
        assert script.count(step) == 1, f"ministack starts functions in another way, without {step.strip()!r}"
        script = script.replace(step, ours)
    lambda_runtime._PYTHON_WORKER_SCRIPT = script
    lambda_runtime.Worker._drain_stderr_bounded = _log_of_a_call


def _log_of_a_call(worker: Any) -> str:
    lines: list[str] = []
    try:
        while not lines or not lines[-1].endswith(END):
            lines.append(worker._stderr_queue.get(timeout=PATIENCE_S))
    except queue.Empty:
        return "\n".join(lines)
    return "\n".join(lines).removesuffix(END).removesuffix("\n")
