"""Check whether users' tokens can be verified, and are taken from the right issuer alone."""

from nightshift import jwks, tokens
from nightshift.errors import sentence
from nightshift.ops.checks import Check, green, red
from nightshift.settings import Settings

NAME = "users' tokens"


def examine_tokens(settings: Settings) -> Check:
    """The setting, and where keys are published, whether they can be read: in one line."""
    if trouble := tokens.trouble_with(settings):
        return red(NAME, trouble, do="Deploy with the parameters that are missing.")
    if not settings.jwks_url:
        return green(NAME, f"HS256 with the stack's secret, by {settings.jwt_user_claim}")
    try:
        keys = jwks.read(settings.jwks_url)
    except Exception as exc:
        do = "Correct JwksUrl, or give the functions' subnets a way out to it."
        return red(NAME, sentence(exc), do=do)
    usable = sum(any(jwks.fits(key, algorithm) for algorithm in tokens.PUBLISHED) for key in keys)
    if not usable:
        do = f"Let the identity provider sign with one of {', '.join(tokens.PUBLISHED)}."
        return red(NAME, f"none of the {len(keys)} keys of {settings.jwks_url} fits", do=do)
    return green(NAME, f"{usable} keys of {settings.jwks_url} for {settings.jwt_issuer}, by {settings.jwt_user_claim}")
