"""Unpack the code of each release once, for all processes of the functions.

ministack unpacks it for each process. That takes longer than the process needs to import it, and Python compiles each
copy anew. On Lambda the folder of the code cannot be written to, so functions cannot tell a copy from a shared folder.
"""

import hashlib
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime

# `make run` makes a release of each saved file. A process of an earlier one may still be at work.
KEPT = 10


class Unpacked:
    """The folders of the last zips, the most recently used last."""

    def __init__(self, parent: Path):
        self._parent = parent
        self._folders: dict[str, Path] = {}
        self._lock = threading.Lock()

    def of(self, archive: Path) -> Path:
        """Return the folder with the content of the zip."""
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        with self._lock:
            folder = self._folders.pop(digest, None) or self._unpack(archive)
            self._folders[digest] = folder
            for earlier in list(self._folders)[:-KEPT]:
                shutil.rmtree(self._folders.pop(earlier), ignore_errors=True)
        return folder

    def _unpack(self, archive: Path) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="code-", dir=self._parent))
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        return folder


def unpack_once() -> None:
    """Let ``extractall`` of ministack's runtime put a link to the shared folder into the place of its own."""
    unpacked = Unpacked(Path(tempfile.gettempdir()))

    class Linked(zipfile.ZipFile):
        def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
            folder = unpacked.of(Path(str(self.filename)))
            Path(path).rmdir()
            Path(path).symlink_to(folder)

    lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | {"ZipFile": Linked})
