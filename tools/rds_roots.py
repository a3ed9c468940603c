"""``python -m tools.rds_roots BUNDLE``: compare rds.pem with AWS's own bundle of certificates.

It prints a line for each root of RDS that only one of the two has, and exits with 1 if there is one. Certificates are
the same if their SHA-256 fingerprints are.
"""

import hashlib
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOTS = Path("functions/nightshift/database/rds.pem")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
OF_RDS = re.compile(r"Amazon RDS ([a-z0-9-]+) Root CA")


def roots(bundle: str) -> dict[str, str]:
    """Return the name of each root of RDS in a text of PEM certificates, by its fingerprint."""
    found = {}
    for pem in CERTIFICATE.findall(bundle):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=pem)
        subject: Any = context.get_ca_certs()[0]["subject"]
        [name] = [value for [[key, value]] in subject if key == "commonName"]
        if OF_RDS.match(name):
            found[hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()] = name
    return found


def regions(bundle: str) -> set[str]:
    """Return the regions whose roots are in a text of PEM certificates."""
    return {found[1] for name in roots(bundle).values() if (found := OF_RDS.match(name))}


def differences(ours: str, theirs: str) -> Iterator[str]:
    """Yield a sentence for each root that only one of two texts has."""
    for here, there, where in ((roots(ours), roots(theirs), "rds.pem"), (roots(theirs), roots(ours), "the bundle")):
        for fingerprint, name in sorted(here.items(), key=lambda item: item[1]):
            if fingerprint not in there:
                yield f"Only in {where}: {name}, SHA-256 {fingerprint}"


def main(bundle: str) -> None:
    found = list(differences(ROOTS.read_text(), Path(bundle).read_text()))
    print("\n".join(found) or "Both have the same roots of RDS.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
