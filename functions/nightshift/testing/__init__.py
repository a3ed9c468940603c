"""The test kit for authors of jobs. docs/testing.md says how to use it."""

from nightshift.testing.job_run import JobRun, assert_resumable
from nightshift.testing.rows import Team, make_team

__all__ = ["JobRun", "Team", "assert_resumable", "make_team"]
