"""Certificates for the mail servers of the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import certificates

MakeCertificate = Callable[[str], Path]


@pytest.fixture(scope="module")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> MakeCertificate:
    """Make a certificate that signs itself, in one file with its key, for a name such as IP:127.0.0.1."""
    return lambda name: certificates.make_certificate(tmp_path_factory.mktemp("certificate"), name)


@pytest.fixture(scope="module")
def certificate(make_certificate: MakeCertificate) -> Path:
    """A certificate for the address at which every mailbox listens."""
    return make_certificate("IP:127.0.0.1")
