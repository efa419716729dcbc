"""Certificates for the mail servers of the tests."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MakeCertificate = Callable[[str], Path]


@pytest.fixture(scope="module")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> MakeCertificate:
    """Make a certificate that signs itself, in one file with its key, for a name such as IP:127.0.0.1."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("certificate")
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mailbox"
        extensions = ("-addext", f"subjectAltName={name}", "-addext", "keyUsage=critical,digitalSignature,keyCertSign")
        files = ("-keyout", "key.pem", "-out", "certificate.pem")
        subprocess.run([*command.split(), *extensions, *files], cwd=folder, check=True, capture_output=True, timeout=60)
        both = folder / "both.pem"
        both.write_text((folder / "certificate.pem").read_text() + (folder / "key.pem").read_text())
        return both

    return make


@pytest.fixture(scope="module")
def certificate(make_certificate: MakeCertificate) -> Path:
    """A certificate for the address at which every mailbox listens."""
    return make_certificate("IP:127.0.0.1")
