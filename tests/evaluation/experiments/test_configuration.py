"""The experiments of notebook 05, on the service and on one that goes against its settings."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pytest

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.configuration import effect, reading, refusals
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.testbed import DEFAULTS
from beefirst.settings import Settings
from tests.support.evidence import fails, judge_anew

SETTINGS = "beefirst/settings.py"
OTHER_DEFAULTS = {
    'DEFAULT_DATABASE_URL = "postgresql://': 'DEFAULT_DATABASE_URL = "postgres://',
    "ttl_seconds: int = Field(60,": "ttl_seconds: int = Field(600,",
    "bcrypt_cost: int = Field(10,": "bcrypt_cost: int = Field(12,",
    "max_attempts: int = Field(3,": "max_attempts: int = Field(5,",
}
DOTENV_FIRST = """
    @classmethod
    def settings_customise_sources(cls, *_, init_settings, env_settings, dotenv_settings, file_secret_settings):
        return init_settings, dotenv_settings, env_settings

    @classmethod
    def load("""


@pytest.fixture(scope="module")
def odd() -> Iterator[Path]:
    """The code of a service that goes against every promise about settings but for the format of its log."""
    with ProjectCopy() as copy:
        for old, new in OTHER_DEFAULTS.items():
            copy.replace(SETTINGS, old, new)
        copy.replace(SETTINGS, "\n    @classmethod\n    def load(", DOTENV_FIRST)
        copy.replace(SETTINGS, 'extra="ignore"', 'extra="allow"')
        copy.replace(SETTINGS, 'f"is {value!r}"', '"is not"')
        copy.replace(
            "beefirst/urls.py", "return mask_password(self.get_secret_value())", "return self.get_secret_value()"
        )
        copy.replace("beefirst/database/pool.py", "min_size=settings.pool_min_size", "min_size=1")
        yield copy.code


@pytest.fixture(scope="module")
def defaults() -> Mapping[str, str]:
    return reading.measure_defaults()


@pytest.fixture(scope="module")
def other_defaults(odd: Path) -> Mapping[str, str]:
    return reading.measure_defaults(odd)


def test_every_setting_is_listed_with_default_and_rule(defaults: Mapping[str, str]) -> None:
    listed = repr(reading.defaults_and_rules(defaults))

    assert "a whole number from 10 to 16" in listed
    assert "postgresql://beefirst@localhost:5432/beefirst" in listed


def test_the_url_of_the_database_is_a_postgresql_connection_string(defaults: Mapping[str, str]) -> None:
    assert reading.database_url_is_postgresql(defaults).holds


def test_another_url_of_the_database_is_noticed(other_defaults: Mapping[str, str]) -> None:
    evidence = reading.database_url_is_postgresql(other_defaults)

    assert not evidence.holds
    assert "DATABASE_URL, postgres://beefirst" in evidence.summary


@pytest.mark.parametrize(
    ("setting", "default", "other"),
    [("TTL_SECONDS", "60", "600"), ("BCRYPT_COST", "10", "12"), ("MAX_ATTEMPTS", "3", "5")],
)
def test_a_default_is_held_against_the_specified_one(
    defaults: Mapping[str, str], other_defaults: Mapping[str, str], setting: str, default: str, other: str
) -> None:
    sound = reading.default_is_as_specified(setting, defaults)
    odd = reading.default_is_as_specified(setting, other_defaults)

    assert (sound.holds, sound.summary) == (True, default)
    assert (odd.holds, odd.summary) == (False, f"not as promised ({other}): {setting}, {other}, {default}")


@pytest.fixture(scope="module")
def effective() -> Evidence:
    return effect.environment_changes_the_api()


def test_the_environment_changes_what_the_api_does(effective: Evidence) -> None:
    assert effective.holds, effective.summary
    assert set(effective.rows["setting"]) == {name.upper() for name in Settings.model_fields}
    assert not [name for name, value in effect.CHANGED.items() if value == str(DEFAULTS[name.lower()])]


IGNORED = {
    # setting: where it is used, how, and what is used instead
    "TTL_SECONDS": ("beefirst/api/main.py", "settings.ttl_seconds, settings.max", "60, settings.max"),
    "BCRYPT_COST": ("beefirst/api/main.py", "BcryptPasswords(settings.bcrypt_cost", "BcryptPasswords(10"),
    "MAX_ATTEMPTS": ("beefirst/api/main.py", "settings.max_attempts)", "3)"),
    "POOL_MIN_SIZE": ("beefirst/database/pool.py", "min_size=settings.pool_min_size", "min_size=2"),
    "STARTUP_TIMEOUT_SECONDS": ("beefirst/database/startup.py", "() + settings.startup_timeout_seconds", "() + 60"),
    "SWEEP_INTERVAL_SECONDS": ("beefirst/api/main.py", "settings.sweep_interval_seconds)", "1)"),
    "MAIL_FROM": ("beefirst/mail/courier.py", "= settings.mail_from", '= "beefirst@localhost"'),
    "MAIL_HELO": ("beefirst/settings.py", "return self.mail_helo or", "return"),
    "MAIL_CONNECTIONS": ("beefirst/mail/server.py", "settings.mail_connections", "3"),
    "CLIENT_LIMIT": ("beefirst/api/main.py", "settings.client_limit,", "120,"),
    "TRUSTED_PROXIES": ("beefirst/api/main.py", "services.settings.trusted_proxies", "()"),
    "LIMITS_URL": ("beefirst/api/client_limits.py", "if self._limit and url.is_redis else", "if False else"),
    "LOG_LEVEL": ("beefirst/api/server.py", "settings.log_level,", '"INFO",'),
    "LOG_FORMAT": ("beefirst/api/server.py", "settings.log_format)", '"text")'),
}


@pytest.fixture(scope="module")
def ignoring() -> Iterator[Evidence]:
    """What is seen of a service that reads all of these settings, and heeds none."""
    with ProjectCopy() as copy:
        for path, used, instead in IGNORED.values():
            copy.replace(path, used, instead)
        yield effect.environment_changes_the_api(copy.code, seconds=7)


@pytest.mark.parametrize("setting", IGNORED)
def test_a_setting_that_is_read_and_ignored_is_noticed(ignoring: Evidence, setting: str) -> None:
    results = dict(zip(ignoring.rows["setting"], ignoring.rows["result"], strict=True))

    fails(ignoring, "NOT IN EFFECT")
    assert results[setting] == "NOT IN EFFECT"
    assert results["DATABASE_URL"] == results["MAIL_URL"] == "in effect"


def test_a_greatest_size_of_the_pool_that_is_ignored_is_noticed() -> None:
    with ProjectCopy() as copy:
        copy.replace("beefirst/database/pool.py", "max_size=settings.pool_max_size", "max_size=10")

        fails(effect.environment_changes_the_api(copy.code), "max_size must be greater or equal than min_size")


ALTERED: Mapping[str, tuple[str, object]] = {
    # setting: what was seen of it, otherwise
    "DATABASE_URL": ("connections", pd.DataFrame(columns=["application_name", "connections"])),
    "BCRYPT_COST": ("claims", pd.DataFrame(columns=["password hash"])),
    "MAX_ATTEMPTS": ("guesses", pd.DataFrame({"state after it": ["LOCKED", "LOCKED"]})),
    "TTL_SECONDS": ("registrations", []),
    "SWEEP_INTERVAL_SECONDS": ("sweeps", pd.DataFrame({"second": [0.0, 1.0, 2.0, 3.0], "state": ["EXPIRED"] * 4})),
    "MAIL_CONNECTIONS": ("held", pd.DataFrame({"connection": [1, 2, 3, 4, 5], "seconds": [0.0, 0.1, 0.2, 5.1, 5.2]})),
    "STARTUP_TIMEOUT_SECONDS": ("failing_start", {"status": 1, "seconds": 0.4}),
    "CLIENT_LIMIT": ("limited", {"192.0.2.1": [422] * 12 + [429] * 13, "192.0.2.2": [422]}),
    "TRUSTED_PROXIES": ("limited", {"192.0.2.1": [422] * 20 + [429] * 5, "192.0.2.2": [429]}),
    "LIMITS_URL": ("redis", ["GET / HTTP/1.1"]),
    "LOG_LEVEL": ("log", []),
}


@pytest.mark.parametrize("setting", ALTERED)
def test_what_was_not_seen_of_a_setting_is_not_in_effect(effective: Evidence, setting: str) -> None:
    name, value = ALTERED[setting]

    evidence = judge_anew(effect.environment_changes_the_api, effective, **{name: value})

    fails(evidence, f"{setting}, ")


def test_the_environment_wins_and_foreign_names_are_ignored() -> None:
    evidence = reading.environment_wins_over_dotenv()

    assert evidence.holds
    assert evidence.summary == "TTL_SECONDS 30, BCRYPT_COST 12, foreign name: not read"


def test_a_dotenv_file_that_wins_and_a_foreign_name_that_is_read_are_noticed(odd: Path) -> None:
    evidence = reading.environment_wins_over_dotenv(odd)

    assert not evidence.holds
    assert "TTL_SECONDS, 30, 45, 45, 30" in evidence.summary
    assert "POSTGRES_USER, , somebody, somebody, not read" in evidence.summary


def test_values_outside_their_rules_are_refused() -> None:
    evidence = refusals.values_are_refused([("BCRYPT_COST", 4), ("POOL_MAX_SIZE", "1")])

    assert evidence.holds
    assert evidence.summary == "2 of 2 starts ended with status 1 and one such line"


def test_a_value_that_is_taken_is_noticed() -> None:
    evidence = refusals.values_are_refused([("BCRYPT_COST", "12")])

    assert not evidence.holds
    assert "(0 of 1 starts ended with status 1 and one such line): BCRYPT_COST, 12, " in evidence.summary
    assert evidence.summary.endswith("TAKEN, refused")


def test_a_refusal_that_does_not_name_the_value_is_noticed(odd: Path) -> None:
    evidence = refusals.values_are_refused([("BCRYPT_COST", "4")], odd)

    assert not evidence.holds
    assert "BCRYPT_COST must be a whole number from 10 to 16, but is not., TAKEN" in evidence.summary


def test_the_password_shows_nowhere() -> None:
    evidence = refusals.password_shows_nowhere()

    assert evidence.holds
    assert "postgresql://reader@db:5432/beefirst" in evidence.summary


def test_a_password_that_leaks_is_noticed_in_both_places(odd: Path) -> None:
    evidence = refusals.password_shows_nowhere(odd)

    assert not evidence.holds
    assert evidence.rows["the password in it"].tolist() == ["FOUND", "FOUND"]
    assert f"postgresql://reader:{refusals.PASSWORD}@db" in evidence.summary


def test_a_crash_fails_its_check_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "beefirst").mkdir()
    (tmp_path / "beefirst" / "__init__.py").touch()
    defaults = reading.measure_defaults(tmp_path)
    evidence = [
        reading.database_url_is_postgresql(defaults),
        effect.environment_changes_the_api(tmp_path),
        reading.environment_wins_over_dotenv(tmp_path),
    ]

    assert [each.result for each in evidence] == ["FAIL"] * 3
    assert evidence[0].summary == evidence[2].summary
    assert "CalledProcessError" in evidence[0].summary
    assert evidence[1].summary.startswith("The API ended with status 1.")
