"""An authority of our own and certificates that it signs."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Authority:
    cert: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _builder(subject, issuer, key):
    now = datetime.datetime.utcnow()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
    )


def _pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_authority(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    certificate = _builder("Test authority", "Test authority", key).add_extension(constraints, True).sign(key, hashes.SHA256())
    cert = folder / "ca.crt"
    cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(cert, certificate, key)


def make_certificate(folder, name, authority, names=()):
    """NAME.crt, NAME.key and both in NAME.pem; also good for `names` and 127.0.0.1. Returns (crt, key, serial)."""
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [x509.DNSName(n) for n in (name, *names)] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = _builder(name, "Test authority", key).add_extension(x509.SubjectAlternativeName(alternatives), False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    cert = certificate.public_bytes(serialization.Encoding.PEM)
    # Each file is replaced as a whole: a server that reads meanwhile sees the old one or the new one.
    for suffix, data in ((".key", _pem(key)), (".crt", cert), (".pem", cert + _pem(key))):
        path = folder / (name + suffix)
        aside = folder / (name + suffix + ".new")
        aside.write_bytes(data)
        aside.chmod(0o600)
        aside.replace(path)
    return folder / f"{name}.crt", folder / f"{name}.key", certificate.serial_number
