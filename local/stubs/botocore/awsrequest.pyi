from collections.abc import Mapping
from typing import BinaryIO

class AWSPreparedRequest:
    url: str

class AWSRequest:
    headers: Mapping[str, str]
    url: str
    def __init__(
        self,
        method: str | None = ...,
        url: str | None = ...,
        headers: Mapping[str, str] | None = ...,
        data: bytes | None = ...,
        params: Mapping[str, str] | None = ...,
        stream_output: bool = ...,
    ) -> None: ...
    def prepare(self) -> AWSPreparedRequest: ...

class _Raw(BinaryIO):
    def read1(self, size: int) -> bytes: ...

class AWSResponse:
    status_code: int
    headers: Mapping[str, str]
    content: bytes
    raw: _Raw
