"""The comparison of rds.pem with AWS's bundle of certificates."""

from pathlib import Path

import pytest

from tools import rds_roots

OURS = rds_roots.ROOTS.read_text()


def test_each_region_has_three_roots() -> None:
    names = list(rds_roots.roots(OURS).values())
    assert len(names) == len({*names}) == 3 * len(rds_roots.regions(OURS))
    # The others are those of the proxy.
    assert len(rds_roots.CERTIFICATE.findall(OURS)) - len(names) == 5


def test_the_order_makes_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turned = tmp_path / "bundle.pem"
    turned.write_text("\n".join(pem for pem in reversed(rds_roots.CERTIFICATE.findall(OURS)) if pem.count("\n") > 1))
    with pytest.raises(SystemExit) as ended:
        rds_roots.main(str(turned))
    assert (ended.value.code, capsys.readouterr().out) == (0, "Both have the same roots of RDS.\n")


def test_a_root_that_only_one_of_them_has_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *others = rds_roots.CERTIFICATE.findall(OURS)
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("\n".join([second, *others]))
    with pytest.raises(SystemExit) as ended:
        rds_roots.main(str(bundle))
    [line] = capsys.readouterr().out.splitlines()
    [fingerprint] = rds_roots.roots(first)
    assert (ended.value.code, line) == (
        1,
        f"Only in rds.pem: Amazon RDS af-south-1 Root CA ECC384 G1, SHA-256 {fingerprint}",
    )
    assert [*rds_roots.differences(first, f"{first}\n{second}")] == [
        f"Only in the bundle: Amazon RDS af-south-1 Root CA RSA2048 G1, SHA-256 {next(iter(rds_roots.roots(second)))}"
    ]
