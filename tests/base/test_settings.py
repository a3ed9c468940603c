"""Settings: the environment variables of a function, checked when they are read."""

import pytest

from nightshift.base.errors import ConfigurationError
from nightshift.base.settings import REQUIRED, Settings, settings_for
from tests.support.fixtures import CONTEXT, load_function
from tests.template.test_functions import event

WRONG = [
    ("DATABASE_PORT", "5432.0", "DATABASE_PORT must be a whole number, got '5432.0'"),
    ("DATABASE_TIMEOUT_S", "soon", "DATABASE_TIMEOUT_S must be a number, got 'soon'"),
    ("RETENTION_DAYS", "-1", "RETENTION_DAYS must be a number of 0 or more, got '-1'"),
    ("RETENTION_DAYS", "nan", "RETENTION_DAYS must be a number of 0 or more, got 'nan'"),
    ("RETENTION_DAYS", "inf", "RETENTION_DAYS must be a number of 0 or more, got 'inf'"),
    ("SWEEP_BATCH", "-5", "SWEEP_BATCH must be a whole number of 0 or more, got '-5'"),
    ("QUEUE_URL", "runs", "QUEUE_URL must begin with https:// or http://, got 'runs'"),
    ("REVENUECAT_URL", " ", "REVENUECAT_URL must begin with https:// or http://, got ' '"),
    ("DATABASE_AUTH", "token", "DATABASE_AUTH must be one of iam, secret, either, none, got 'token'"),
    ("SYSTEM_JOBS_ALERTS", "some", "SYSTEM_JOBS_ALERTS must be one of all, failures, got 'some'"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG)
def test_a_wrong_value_is_refused_with_name_and_value(monkeypatch, name, value, sentence):
    monkeypatch.setenv("DATABASE_HOST", "db")
    monkeypatch.setenv("DATABASE_USER", "us")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment()
    assert str(refused.value) == sentence


def test_values_are_read_and_empty_ones_are_defaults(monkeypatch):
    monkeypatch.setenv("DATABASE_HOST", "db")
    monkeypatch.setenv("DATABASE_USER", "us")
    monkeypatch.setenv("DATABASE_PORT", "1")
    monkeypatch.setenv("DATABASE_TIMEOUT_S", "0.5")
    monkeypatch.setenv("QUEUE_URL", "http://127.0.0.1/runs")
    monkeypatch.setenv("REVENUECAT_URL", "")
    known = Settings.from_environment()
    assert (known.database_host, known.database_port, known.database_timeout_s) == ("db", 1, 0.5)
    assert (known.queue_url, known.revenuecat_url) == ("http://127.0.0.1/runs", Settings.revenuecat_url)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("DATABASE_HOST", "set it to the address of the Postgres server"),
        ("DATABASE_USER", "set it to the Postgres role of this function"),
    ],
)
def test_without_a_database_nothing_works(monkeypatch, name, advice):
    monkeypatch.setenv("DATABASE_HOST", "db")
    monkeypatch.setenv("DATABASE_USER", "us")
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=f"^{name} is not set: {advice}$"):
        Settings.from_environment()


@pytest.mark.parametrize(("function", "name"), [(known, name) for known, names in REQUIRED.items() for name in names])
def test_a_function_that_lacks_a_variable_says_which(monkeypatch, function, name):
    for each in REQUIRED[function]:
        monkeypatch.setenv(each, "https://value")
    monkeypatch.setenv(name, "")
    with pytest.raises(ConfigurationError) as refused:
        settings_for(function)
    assert str(refused.value) == (
        f"{function.capitalize()}Function cannot work without {name}: set each variable in the function's Environment "
        "in template.yaml, and deploy again"
    )


@pytest.mark.parametrize("function", [function for function in REQUIRED if REQUIRED[function] and function != "api"])
def test_every_function_checks_its_variables(cloud, monkeypatch, function):
    for name in REQUIRED[function]:
        monkeypatch.setenv(name, "")
    # Without a ResponseURL the migrations raise; test_functions.py tests the report to CloudFormation.
    sample = event(function) if function in ("schedule", "worker", "notify") else {}
    with pytest.raises(ConfigurationError, match=f"^{function.capitalize()}Function cannot work without "):
        load_function(function).handler(sample, CONTEXT)


def test_the_api_refuses_every_request_and_logs_the_variable(cloud, monkeypatch, caplog):
    monkeypatch.setenv("QUEUE_URL", "")
    answer = load_function("api").handler(event("api"), CONTEXT)
    assert answer["statusCode"] == 500
    assert "ApiFunction cannot work without QUEUE_URL" in caplog.text
