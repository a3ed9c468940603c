"""Write small files that hold secrets. Only the user can read them, and readers never see a half-written file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Replace the file atomically, so that it is complete even after a power failure."""
    half_done = path.with_suffix(".new")
    half_done.unlink(missing_ok=True)
    with os.fdopen(os.open(half_done, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(dict(content), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    half_done.replace(path)
