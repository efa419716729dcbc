"""What the environment tells notebooks, and what the processes that they start are not to learn from it."""

import os

from beefirst.settings import DeploymentSettings, Settings

PART_OF_A_RUN = "BEEFIRST_PART_OF_A_RUN"
"""Set for notebooks that are run along with others: then 00 does not run all of them again."""

OWN_RECORD = "BEEFIRST_OWN_RECORD"
"""The folder in which a notebook leaves its record for whoever runs it: others may run the same one meanwhile."""

RECORDS = "BEEFIRST_RECORDS"
"""The folder in which notebooks that are run for a report keep their records, apart from those of the reader's runs."""

OWN_NAMES = {
    *(name.upper() for model in (Settings, DeploymentSettings) for name in model.model_fields),
    PART_OF_A_RUN,
    OWN_RECORD,
    RECORDS,
}


def clean_environment() -> dict[str, str]:
    """Return this process's environment without beefirst's settings, so that what is shown depends on none of them."""
    return {name: value for name, value in os.environ.items() if name.upper() not in OWN_NAMES}
