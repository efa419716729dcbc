"""Certificates for the servers of the tests."""

import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str) -> Path:
    """Return a file with a certificate that signs itself, and its key.

    Args:
        folder: in which it is made.
        name: whose it is, such as IP:127.0.0.1.
    """
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mailbox"
    extensions = ("-addext", f"subjectAltName={name}", "-addext", "keyUsage=critical,digitalSignature,keyCertSign")
    files = ("-keyout", "key.pem", "-out", "certificate.pem")
    subprocess.run([*command.split(), *extensions, *files], cwd=folder, check=True, capture_output=True, timeout=60)
    both = folder / "both.pem"
    both.write_text((folder / "certificate.pem").read_text() + (folder / "key.pem").read_text())
    return both
