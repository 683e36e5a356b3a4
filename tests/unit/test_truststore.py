"""The trust store that a Java from a wheel gets."""

from __future__ import annotations

import shutil
import ssl
import subprocess

import pytest

from fruitpipe.runtime import truststore


def test_where_the_machine_names_no_authority_java_keeps_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(ssl, "create_default_context", lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert truststore.write(tmp_path / "store") == []
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(not shutil.which("keytool"), reason="needs keytool: an independent reader, of a JDK")
def test_javas_own_tool_finds_every_authority_of_this_machine_in_it(tmp_path):
    truststore.write(tmp_path / "store")
    command = ["keytool", "-list", "-keystore", str(tmp_path / "store"), "-storepass", truststore.PASSWORD]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    assert f"contains {len(trusted)} entr" in said
    assert said.count("trustedCertEntry") == len(trusted) > 0
