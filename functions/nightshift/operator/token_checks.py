"""Check that users' tokens can be verified, and that only tokens of the right issuer are accepted."""

from nightshift.base.settings import Settings
from nightshift.operator.checks import Finding, green, red
from nightshift.tenants import jwks, tokens

NO_KEYS = "Correct JwksUrl, or give the functions' subnets a route to it."


def check_tokens(settings: Settings) -> Finding:
    """Check the settings and, if keys are published at a URL, whether they can be read."""
    if trouble := tokens.trouble_with(settings):
        return red(trouble, do="Deploy with the missing parameters.")
    if not settings.jwks_url:
        return green(f"HS256 with the stack's secret; users are identified by {settings.jwt_user_claim}")
    keys = jwks.read(settings.jwks_url)
    usable = sum(any(jwks.fits(key, algorithm) for algorithm in tokens.PUBLISHED) for key in keys)
    if not usable:
        do = f"Configure the identity provider to sign with one of {', '.join(tokens.PUBLISHED)}."
        return red(f"no usable key at {settings.jwks_url} (keys there: {len(keys)})", do=do)
    return green(
        f"usable keys at {settings.jwks_url}: {usable}, for the issuer {settings.jwt_issuer}; "
        f"users are identified by {settings.jwt_user_claim}",
    )
