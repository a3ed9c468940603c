"""Small files that hold secrets: readable by their owner alone, from the first byte, and never seen half written."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Whole or not at all, after a power cut, too."""
    half_done = path.with_suffix(".new")
    half_done.unlink(missing_ok=True)
    with os.fdopen(os.open(half_done, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(dict(content), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    half_done.replace(path)
