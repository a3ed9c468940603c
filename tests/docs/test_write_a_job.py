"""docs/write-a-job.md is short and names what exists. tests/stack follows it word for word."""

import re
from pathlib import Path

from nightshift.testing import JobRun

PAGE = Path("docs/write-a-job.md").read_text()


def test_the_job_has_twenty_lines():
    [job] = re.findall(r"quiet_users/job\.py`:\n\n^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(job.splitlines()) <= 20


def test_the_page_names_what_the_helpers_have():
    for name in re.findall(r"`run\.(\w+)", PAGE.split("## The test kit")[1]):
        assert hasattr(JobRun, name) or name in JobRun.__dataclass_fields__, name
