"""Writes a Java trust store of the certificate authorities that this machine trusts.

A Java runtime from a wheel trusts the public authorities only, not a company's own, as a proxy may need.
Source of the format: the JKS of OpenJDK's sun.security.provider.JavaKeyStore, version 2.
"""

from __future__ import annotations

import hashlib
import ssl
import struct
import time
from pathlib import Path

PASSWORD = "changeit"  # noqa: S105 - Java's own default; it guards nothing, as certificates are public
MAGIC, VERSION, TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 2


def write(path: Path) -> list[str]:
    """Writes the trust store, and returns Java's options that use it; none where this machine names no authority."""
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not trusted:  # as Python on macOS, or a bare container: Java's own authorities do
        return []
    path.write_bytes(store(trusted))
    return [f"-Djavax.net.ssl.trustStore={path}", f"-Djavax.net.ssl.trustStorePassword={PASSWORD}"]


def store(certificates: list[bytes]) -> bytes:
    """The bytes of a trust store with `certificates`, each DER."""
    body = struct.pack(">III", MAGIC, VERSION, len(certificates))
    for number, certificate in enumerate(certificates):
        body += struct.pack(">I", TRUSTED_CERTIFICATE) + _text(str(number)) + struct.pack(">Q", int(time.time() * 1000))
        body += _text("X.509") + struct.pack(">I", len(certificate)) + certificate
    digest = hashlib.sha1(PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()  # noqa: S324 - the format's own
    return body + digest


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode("ascii")
