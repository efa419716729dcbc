"""The experiments of notebook 05, on the service and on one that goes against its settings."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from beefirst.evaluation.experiments import configuration
from beefirst.laboratory.project_copy import ProjectCopy

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
        copy.replace(SETTINGS, """f"is {problem['input']!r}\"""", '"is not"')
        copy.replace(
            "beefirst/urls.py", "return mask_password(self.get_secret_value())", "return self.get_secret_value()"
        )
        copy.replace("beefirst/database/pool.py", "min_size=settings.pool_min_size", "min_size=1")
        yield copy.code


@pytest.fixture(scope="module")
def defaults() -> Mapping[str, str]:
    return configuration.measure_defaults()


@pytest.fixture(scope="module")
def other_defaults(odd: Path) -> Mapping[str, str]:
    return configuration.measure_defaults(odd)


def test_every_setting_is_listed_with_default_and_rule(defaults: Mapping[str, str]) -> None:
    listed = repr(configuration.defaults_and_rules(defaults))

    assert "a whole number from 10 to 16" in listed
    assert "postgresql://beefirst@localhost:5432/beefirst" in listed


def test_the_url_of_the_database_is_a_postgresql_connection_string(defaults: Mapping[str, str]) -> None:
    assert configuration.database_url_is_postgresql(defaults).holds


def test_another_url_of_the_database_is_noticed(other_defaults: Mapping[str, str]) -> None:
    evidence = configuration.database_url_is_postgresql(other_defaults)

    assert not evidence.holds
    assert "DATABASE_URL, postgres://beefirst" in evidence.summary


@pytest.mark.parametrize(
    ("setting", "default", "other"),
    [("TTL_SECONDS", "60", "600"), ("BCRYPT_COST", "10", "12"), ("MAX_ATTEMPTS", "3", "5")],
)
def test_a_default_is_held_against_the_specified_one(
    defaults: Mapping[str, str], other_defaults: Mapping[str, str], setting: str, default: str, other: str
) -> None:
    sound = configuration.default_is_as_specified(setting, defaults)
    odd = configuration.default_is_as_specified(setting, other_defaults)

    assert (sound.holds, sound.summary) == (True, default)
    assert (odd.holds, odd.summary) == (False, f"not as promised ({other}): {setting}, {other}, {default}")


def test_the_environment_changes_what_the_api_does() -> None:
    evidence = configuration.environment_changes_the_api()

    assert evidence.holds
    assert "beefirst.api" in evidence.rows["value"].tolist()


def test_a_setting_that_is_read_and_ignored_is_noticed(odd: Path) -> None:
    evidence = configuration.environment_changes_the_api(odd, seconds=0.5)

    assert not evidence.holds
    assert 'the log begins {"level"' in evidence.summary
    assert "the experiment itself" not in evidence.summary


def test_a_format_of_the_log_that_is_read_and_ignored_is_noticed() -> None:
    with ProjectCopy() as copy:
        copy.replace("beefirst/api/server.py", "settings.log_format)", '"text")')
        evidence = configuration.environment_changes_the_api(copy.code)

    assert not evidence.holds
    assert "first line of the log, " in evidence.summary


def test_the_environment_wins_and_foreign_names_are_ignored() -> None:
    evidence = configuration.environment_wins_over_dotenv()

    assert evidence.holds
    assert evidence.summary == "TTL_SECONDS 30, BCRYPT_COST 12, foreign name: not read"


def test_a_dotenv_file_that_wins_and_a_foreign_name_that_is_read_are_noticed(odd: Path) -> None:
    evidence = configuration.environment_wins_over_dotenv(odd)

    assert not evidence.holds
    assert "TTL_SECONDS, 30, 45, 45, 30" in evidence.summary
    assert "POSTGRES_USER, , somebody, somebody, not read" in evidence.summary


def test_values_outside_their_rules_are_refused() -> None:
    evidence = configuration.values_are_refused([("BCRYPT_COST", 4), ("POOL_MAX_SIZE", "1")])

    assert evidence.holds
    assert evidence.summary == "2 of 2 starts ended with status 1 and one such line"


def test_a_value_that_is_taken_is_noticed() -> None:
    evidence = configuration.values_are_refused([("BCRYPT_COST", "12")])

    assert not evidence.holds
    assert "(0 of 1 starts ended with status 1 and one such line): BCRYPT_COST, 12, " in evidence.summary
    assert evidence.summary.endswith("TAKEN, refused")


def test_a_refusal_that_does_not_name_the_value_is_noticed(odd: Path) -> None:
    evidence = configuration.values_are_refused([("BCRYPT_COST", "4")], odd)

    assert not evidence.holds
    assert "BCRYPT_COST must be a whole number from 10 to 16, but is not., TAKEN" in evidence.summary


def test_the_password_shows_nowhere() -> None:
    evidence = configuration.password_shows_nowhere()

    assert evidence.holds
    assert "postgresql://reader@db:5432/beefirst" in evidence.summary


def test_a_password_that_leaks_is_noticed_in_both_places(odd: Path) -> None:
    evidence = configuration.password_shows_nowhere(odd)

    assert not evidence.holds
    assert evidence.rows["the password in it"].tolist() == ["FOUND", "FOUND"]
    assert f"postgresql://reader:{configuration.PASSWORD}@db" in evidence.summary


def test_a_crash_fails_its_check_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "beefirst").mkdir()
    (tmp_path / "beefirst" / "__init__.py").touch()
    defaults = configuration.measure_defaults(tmp_path)
    evidence = [
        configuration.database_url_is_postgresql(defaults),
        configuration.environment_changes_the_api(tmp_path),
        configuration.environment_wins_over_dotenv(tmp_path),
    ]

    assert [each.result for each in evidence] == ["FAIL"] * 3
    assert evidence[0].summary == evidence[2].summary
    assert "CalledProcessError" in evidence[0].summary
    assert evidence[1].summary.startswith("The API ended with status 1.")
