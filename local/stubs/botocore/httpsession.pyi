from collections.abc import Mapping, Sequence

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

class URLLib3Session:
    def __init__(
        self,
        verify: bool | str = ...,
        proxies: Mapping[str, str] | None = ...,
        timeout: float | tuple[float, float] | None = ...,
        *,
        socket_options: Sequence[tuple[int, int, int]] | None = ...,
    ) -> None: ...
    def send(self, request: AWSPreparedRequest) -> AWSResponse: ...
    def close(self) -> None: ...
