from typing import NamedTuple

class _Frozen(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None

class _Credentials:
    def get_frozen_credentials(self) -> _Frozen: ...

class Session:
    def get_credentials(self) -> _Credentials | None: ...
    def get_config_variable(self, logical_name: str) -> str | None: ...

def get_session() -> Session: ...
