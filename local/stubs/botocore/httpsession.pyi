from collections.abc import Mapping

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

class URLLib3Session:
    def __init__(
        self,
        verify: bool | str = ...,
        proxies: Mapping[str, str] | None = ...,
        timeout: float | tuple[float, float] | None = ...,
    ) -> None: ...
    def send(self, request: AWSPreparedRequest) -> AWSResponse: ...
    def close(self) -> None: ...

def get_cert_path(verify: bool) -> str: ...
