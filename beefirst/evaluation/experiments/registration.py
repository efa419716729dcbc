"""What somebody types to register by hand, with curl and the line that the demo's mailer logs."""

from beefirst.evaluation.display.tables import Shown, terminal
from beefirst.laboratory.running_service import find_named

REGISTER = """curl -i -H 'Content-Type: application/json' \\
  -d '{{"email": "ada@example.com", "password": "correct horse"}}' \\
  {url}/v1/register"""
ACTIVATE = """curl -i -H 'Content-Type: application/json' \\
  -u 'ada@example.com:correct horse' -d '{{"code": "{code}"}}' \\
  {url}/v1/activate"""
LOGS = {
    "docker compose up": "docker compose logs --no-log-prefix api | grep 'DEMO MAIL'",
    "python -m beefirst up": "# look for the line with DEMO MAIL in the terminal in which `python -m beefirst up` runs",
}


def commands() -> Shown:
    """Return the three commands for the running service, ready to be copied."""
    service = find_named()
    if not service:
        return terminal(["# start the service first: docker compose up, or python -m beefirst up"])
    url = service.browser_url
    return terminal([REGISTER.format(url=url), LOGS[service.way], ACTIVATE.format(url=url, code="1234")])
