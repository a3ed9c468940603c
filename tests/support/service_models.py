"""botocore's descriptions of AWS's services, read once per process and not once per session."""

from typing import Any

from botocore import loaders


class Loader(loaders.Loader):
    _read: dict[tuple[Any, ...], Any] = {}

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cache = self._read
