"""A real Postfix on free ports of 127.0.0.1, which takes mail for example.com and throws it away once it is logged."""

import os
import re
import shutil
import socketserver
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from beefirst.laboratory.cleanup import new_folder, register, release
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until

USER, PASSWORD = "mailer", "right-horse-battery"
DOMAIN = "relay.example.com"

needs_postfix = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("postfix") or not shutil.which("saslpasswd2"),
    reason="a Postfix of one's own needs root, and Debian's postfix, sasl2-bin and libsasl2-modules",
)

SERVICES = {
    "plain": {},
    "naming": {"smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname"},
    "naming-at-once": {"smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname", "smtpd_delay_reject": "no"},
    "encrypted": {"smtpd_tls_security_level": "encrypt"},
    "asking": {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_auth_only": "yes",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject",
    },
    "three-at-once": {"smtpd_client_connection_count_limit": "3", "smtpd_client_event_limit_exceptions": ""},
    "hanging-up": {"smtpd_timeout": "1s"},
}
"""What is different on each of the ports."""

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = {domain}
mydestination =
alias_maps =
inet_protocols = ipv4
smtpd_peername_lookup = no
relay_domains = example.com
relay_transport = discard:
smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service inet:127.0.0.1:{policy}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {certificate}
"""

MASTER = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {folder}/sasldb
mech_list: PLAIN LOGIN
"""


class Policy(socketserver.ThreadingTCPServer):
    """Is asked by Postfix about each recipient, and refuses those that it is told to (Postfix's SMTPD_POLICY_README).

    Attributes:
        asked: how often a recipient was offered.
        names: what the client had called itself, by the recipient.
        seconds: how long it thinks about each.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _PolicyHandler)
        self.asked, self.names, self.seconds = Counter[str](), dict[str, str](), 0.0
        self._refusals: dict[str, list[str]] = defaultdict(list)

    def refuse(self, recipient: str, reply: str, times: int = 1) -> None:
        """Refuse a recipient so many times, and then take it."""
        self._refusals[recipient] += [reply] * times

    def judge(self, recipient: str, name: str) -> str:
        """Return what Postfix is to do."""
        self.asked[recipient] += 1
        self.names[recipient] = name
        time.sleep(self.seconds)
        return self._refusals[recipient].pop() if self._refusals[recipient] else "DUNNO"


class _PolicyHandler(socketserver.StreamRequestHandler):
    server: Policy

    def handle(self) -> None:
        asked: dict[str, str] = {}
        for line in self.rfile:
            name, _, value = line.decode().strip().partition("=")
            asked[name] = value
            if not name:
                action = self.server.judge(asked["recipient"], asked["helo_name"])
                self.wfile.write(f"action={action}\n\n".encode())


class Postfix:
    """A Postfix that runs.

    Args:
        folder: of its own, which its account can reach.
        policy: what it asks.

    Attributes:
        policy: as given.
    """

    def __init__(self, folder: Path, policy: Policy) -> None:
        self._folder, self.policy = folder, policy
        self._ports = {service: free_port() for service in SERVICES}

    def url(self, service: str, credentials: str = "") -> str:
        """Return what MAIL_URL is to be for a port.

        Args:
            service: one of SERVICES.
            credentials: user and password, as `user:password@`.
        """
        return f"smtp://{credentials}127.0.0.1:{self._ports[service]}"

    def log(self, service: str | None = None) -> str:
        """Return what it has logged, of one of its SERVICES or of all."""
        lines = (self._folder / "mail.log").read_text().splitlines(keepends=True)
        return "".join(line for line in lines if service is None or f" {service}/" in line)

    def sent(self, recipient: str) -> int:
        """Return how often it has sent a mail to a recipient on."""
        return len(re.findall(rf" to=<{re.escape(recipient)}>, .* status=sent ", self.log()))

    def configure(self, certificate: Path) -> None:
        """Write its files, and give the one user a password."""
        values = {"folder": self._folder, "domain": DOMAIN, "policy": self.policy.server_address[1]}
        ports = [
            f"127.0.0.1:{self._ports[service]} inet n - n - - smtpd -o syslog_name={service}"
            + "".join(f" -o {{ {name} = {value} }}" for name, value in options.items())
            for service, options in SERVICES.items()
        ]
        self._folder.chmod(0o755)
        for name in ("etc", "etc/sasl", "queue", "data"):
            (self._folder / name).mkdir()
        shutil.chown(self._folder / "data", "postfix")
        (self._folder / "etc" / "main.cf").write_text(MAIN.format(certificate=certificate, **values))
        (self._folder / "etc" / "master.cf").write_text("\n".join(ports) + MASTER)
        (self._folder / "etc" / "sasl" / "smtpd.conf").write_text(SASL.format(**values))  # where Debian's looks
        save = ["saslpasswd2", "-p", "-c", "-f", self._folder / "sasldb", "-u", DOMAIN, USER]
        subprocess.run(save, input=PASSWORD, text=True, check=True, timeout=60)
        shutil.chown(self._folder / "sasldb", "postfix")

    def run(self, command: str) -> None:
        """Run one of the commands of postfix(1)."""
        subprocess.run(
            ["postfix", "-c", self._folder / "etc", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # its log has all of it, and daemons keep what they inherit
            check=True,
            timeout=120,
        )

    @property
    def pid(self) -> int:
        """The number of its first process."""
        return int((self._folder / "queue" / "pid" / "master.pid").read_text())


@contextmanager
def running_postfix(certificate: Path) -> Iterator[Postfix]:
    """Run a Postfix.

    Args:
        certificate: a file with the certificate to show and its key.
    """
    with ExitStack() as parts:
        folder = Path(parts.enter_context(new_folder("beefirst-postfix-")))
        policy = parts.enter_context(Policy())
        threading.Thread(target=policy.serve_forever, daemon=True).start()
        parts.callback(policy.shutdown)
        postfix = Postfix(folder, policy)
        postfix.configure(certificate)
        postfix.run("start")
        pid = postfix.pid
        register("process", pid)
        parts.callback(release, "process", pid)
        parts.callback(lambda: wait_until(lambda: not Path(f"/proc/{pid}").exists()))
        parts.callback(postfix.run, "stop")
        yield postfix
