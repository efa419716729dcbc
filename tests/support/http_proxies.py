"""HAProxy and nginx as Debian has them, each before one API, with the few lines that their manuals give for it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from beefirst.laboratory.environment import clean_environment
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until
from tests.support.folders import open_folder

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend people
    bind 127.0.0.1:{port}
    bind [::1]:{port}
    bind 127.0.0.1:{told} accept-proxy
    option forwardfor
    default_backend api
backend api
    server api {api}
"""

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    set_real_ip_from 127.0.0.1;
    upstream api {{ server {api}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port};
        location / {{ {forward} }}
    }}
    server {{
        listen 127.0.0.1:{told} proxy_protocol;
        real_ip_header proxy_protocol;
        location / {{ {forward} }}
    }}
}}
"""

FORWARD = """
    proxy_pass http://api;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
"""

COMMANDS = {
    "haproxy": ("haproxy", HAPROXY, ("haproxy", "-db", "-f")),
    "nginx": ("nginx-light", NGINX, ("nginx", "-e", "stderr", "-c")),
}
"""The package, the configuration, and the command that takes it, by the program's name."""

NAMES = [
    pytest.param(
        name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name}: apt-get install {COMMANDS[name][0]}")
    )
    for name in COMMANDS
]
"""Each of them, for a fixture or a test."""


@dataclass(frozen=True)
class HttpProxy:
    """A proxy that runs.

    Attributes:
        url: where clients reach it over IPv4.
        url_6: and over IPv6.
        told: a port of 127.0.0.1 where the PROXY protocol tells it whose connection that is, as a balancer of TCP does.
    """

    url: str
    url_6: str
    told: int


@contextmanager
def http_proxy(name: str, api: str) -> Iterator[HttpProxy]:
    """Run a proxy on free ports, which adds its client to X-Forwarded-For, until the block ends.

    Args:
        name: see NAMES.
        api: the URL of what stands behind it.
    """
    _, text, command = COMMANDS[name]
    port, told = free_port(), free_port()
    with open_folder() as folder, (folder / "log").open("wb") as log:
        configuration = folder / "configuration"
        place = api.removeprefix("http://")
        configuration.write_text(text.format(port=port, told=told, api=place, folder=folder, forward=FORWARD))
        process = subprocess.Popen([*command, configuration], env=clean_environment(), stdout=log, stderr=log)
        try:
            wait_until(lambda: _serves(process, folder / "log", f"http://127.0.0.1:{port}"))
            yield HttpProxy(f"http://127.0.0.1:{port}", f"http://[::1]:{port}", told)
        finally:
            process.terminate()  # nginx's first process ends the others, which a kill would leave behind
            process.wait(60)


def _serves(process: "subprocess.Popen[bytes]", log: Path, url: str) -> bool:
    assert process.poll() is None, log.read_text()
    return answers(f"{url}/health/live")
