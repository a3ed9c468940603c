"""Bring changed files into the running stack, as ``sam sync --code --watch`` does on AWS."""

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from local.deployment.deploy import DeployFailed
from local.deployment.packages import files_in

# Beside the functions' code, which contains sql/, the start of the stack reads these files.
SETUP = ("template.yaml", "layers/dependencies/requirements.txt")
# A change of one of these takes effect at the next start.
AT_START = (*SETUP, "sql/jobs/", "sql/platform/")

# The file in which a job declares its rights.
DECLARATION = re.compile(r"nightshift_jobs/\w+/__init__\.py")

# Each file with its time and size, by which a change shows.
Files = dict[str, tuple[int, int]]


class Watch:
    """Compare the files of a checkout with those that the stack runs.

    Create the watch before the stack starts, so that it notices changes during the start. ``update`` deploys the
    functions' code, and ``error`` then returns the error with which they cannot start, if there is one. ``declare``
    brings changed declarations of jobs to the database, and returns its error. ``say`` receives a line about each
    change.
    """

    def __init__(
        self,
        checkout: Path,
        *,
        update: Callable[[], None],
        error: Callable[[], str | None],
        declare: Callable[[], str | None],
        say: Callable[[str], None],
    ):
        self._checkout, self._update, self._error, self._declare, self._say = checkout, update, error, declare, say
        self._deployed = self._handled = self._seen = self._files()

    def look(self) -> None:
        """Handle what has changed, as soon as nothing has changed since the last look. Call it often.

        A change of many files, for example by ``git switch``, is thus handled once.
        """
        before, self._seen = self._seen, self._files()
        if self._seen != before or self._seen == self._handled:
            return
        news, self._handled = _differing(self._handled, self._seen), self._seen
        if at_start := [name for name in news if name.startswith(AT_START)]:
            self._say(f"{_listed(at_start)} changed. Press Ctrl-C and start `make run` again to apply it.")
        changed = [name for name in _differing(self._deployed, self._seen) if not name.startswith(AT_START)]
        if changed and len(at_start) < len(news):
            self._reload(changed)

    def _reload(self, changed: Sequence[str]) -> None:
        if mistakes := list(_mistakes(self._checkout / "functions", changed)):
            self._say(f"{' '.join(mistakes)} The functions keep their previous code until you correct it.")
            return
        try:
            self._update()
        except DeployFailed as exc:
            self._say(f"The functions keep their previous code, because local AWS refused the new code: {exc}")
            return
        self._deployed = self._handled
        self._say(f"Reloaded the functions: {_listed(changed)} changed.")
        if error := self._error():
            self._say(f"The functions cannot start until you correct this: {error}")
        elif any(DECLARATION.fullmatch(name) for name in changed) and (error := self._declare()):
            self._say(f"The database refuses what a job declares until you correct this: {error}")

    def _files(self) -> Files:
        functions = self._checkout / "functions"
        code = {path.relative_to(functions).as_posix(): path for path in files_in(functions)}
        found: Files = {}
        for name, path in [*code.items(), *((name, self._checkout / name) for name in SETUP)]:
            # An editor may have removed the file since it was listed.
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found[name] = (stat.st_mtime_ns, stat.st_size)
        return found


def _differing(before: Files, after: Files) -> list[str]:
    """Return the names of the files that changed, appeared or went, in order."""
    return sorted({name for name, _ in before.items() ^ after.items()})


def _mistakes(functions: Path, names: Collection[str]) -> Iterator[str]:
    """Say for each file that Python cannot read what is wrong, and in which line."""
    for name in names:
        if name.endswith(".py"):
            try:
                compile((functions / name).read_bytes(), name, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as exc:
                # A file with null bytes has no line. Until Python 3.11.4 it leads to a ValueError.
                line = getattr(exc, "lineno", None)
                yield f"{name}{f', line {line}' if line else ''}: {getattr(exc, 'msg', exc)}."
            except FileNotFoundError:
                continue


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{names[0]} and {len(names) - 1} other {'file' if len(names) == 2 else 'files'}"
