"""What the processes that tests and notebooks start are not to learn from the environment of their parent."""

import os

from beefirst.settings import DeploymentSettings, Settings

OWN_NAMES = {name.upper() for model in (Settings, DeploymentSettings) for name in model.model_fields}


def clean_environment() -> dict[str, str]:
    """Return this process's environment without beefirst's settings, so that what is shown depends on none of them.

    Nor on OpenTelemetry's, which the service takes, too.
    """
    return {name: value for name, value in os.environ.items() if not _is_setting(name.upper())}


def _is_setting(name: str) -> bool:
    return name in OWN_NAMES or name.startswith("OTEL_")
