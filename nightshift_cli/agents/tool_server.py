"""The server of the Model Context Protocol, which offers the tools to an agent over standard input and output."""

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

from nightshift import __version__
from nightshift_cli.agents.tools import Tools
from nightshift_cli.agents.untrusted import NOTE

INSTRUCTIONS = (
    "Nightshift runs background jobs for a team. Look at the runs before you start, cancel or repeat one. A live run "
    f"cannot be started again; follow it with get_run. {NOTE}"
)
READ = ToolAnnotations(read_only_hint=True, open_world_hint=False)
# It adds a run or a schedule, and takes nothing away.
ADD = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
# It changes or ends what exists. Done twice, it does nothing more.
CHANGE = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
KINDS = {
    "list_job_types": READ,
    "list_projects": READ,
    "get_overview": READ,
    "list_runs": READ,
    "get_run": READ,
    "get_run_timeline": READ,
    "get_run_logs": READ,
    "list_schedules": READ,
    "trigger_run": ADD,
    "rerun": ADD,
    "create_schedule": ADD,
    "resume_schedule": ADD,
    "pause_schedule": CHANGE,
    "cancel_run": CHANGE,
}


def server(tools: Tools, *, only_reading: bool) -> MCPServer:
    """Return the server with all tools, or only with those that change nothing."""
    made = MCPServer("nightshift", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")
    for name, annotations in KINDS.items():
        if annotations.read_only_hint or not only_reading:
            made.tool(annotations=annotations)(getattr(tools, name))
    return made
