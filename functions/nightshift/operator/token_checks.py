"""Check that users' tokens can be verified, and that only tokens of the right issuer are accepted."""

from nightshift.base.errors import sentence
from nightshift.base.settings import Settings
from nightshift.operator.checks import Check, green, red
from nightshift.tenants import jwks, tokens

NAME = "users' tokens"


def examine_tokens(settings: Settings) -> Check:
    """Return one line about the settings and, if keys are published at a URL, about whether they can be read."""
    if trouble := tokens.trouble_with(settings):
        return red(NAME, trouble, do="Deploy with the missing parameters.")
    if not settings.jwks_url:
        return green(NAME, f"HS256 with the stack's secret; users are identified by {settings.jwt_user_claim}")
    try:
        keys = jwks.read(settings.jwks_url)
    except Exception as exc:
        do = "Correct JwksUrl, or give the functions' subnets a route to it."
        return red(NAME, sentence(exc), do=do)
    usable = sum(any(jwks.fits(key, algorithm) for algorithm in tokens.PUBLISHED) for key in keys)
    if not usable:
        do = f"Configure the identity provider to sign with one of {', '.join(tokens.PUBLISHED)}."
        return red(NAME, f"no usable key at {settings.jwks_url} (keys there: {len(keys)})", do=do)
    return green(
        NAME,
        f"usable keys at {settings.jwks_url}: {usable}, for the issuer {settings.jwt_issuer}; "
        f"users are identified by {settings.jwt_user_claim}",
    )
