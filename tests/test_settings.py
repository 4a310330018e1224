"""Settings: wrong ones name the setting and the remedy, and never a value."""

import re
from pathlib import Path

import pytest

from lib.errors import SettingsError
from lib.portfolio.accounts import AccountKind
from lib.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("FKS_"):
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")


def test_defaults_run_the_simulator_with_its_demo_account() -> None:
    settings = load_settings()
    assert settings.exchange == "simulator"
    assert settings.symbols[:3] == ("BTC/USDT", "ETH/USDT", "BNB/USDT")
    assert settings.effective_accounts["demo"].kind is AccountKind.LIVE


def test_a_real_exchange_without_accounts_gets_a_paper_account() -> None:
    assert load_settings(exchange="binance").effective_accounts["paper"].kind is AccountKind.PAPER


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("FKS_PREFECT_PRT", "4201", "Did you mean FKS_PREFECT_PORT?"),
        ("FKS_PREFECT_PORT", "70000", "FKS_PREFECT_PORT"),
        ("FKS_MAINS", '["BTC", "btc"]', "FKS_MAINS: Value error, an asset is named twice"),
        ("FKS_MAINS", "BTC", "FKS_MAINS is no JSON"),
        ("FKS_MAINS", '["BTC/USDT"]', "FKS_MAINS__0"),
        ("FKS_STOP_PRICE_MAX_AGE_SECONDS", "90000", "FKS_STOP_PRICE_MAX_AGE_SECONDS"),
        ("FKS_SIMULATOR_PORT", "4200", "both 4200"),
        ("FKS_ALTS", '["BTC"]', "BTC is in mains and in alts"),
        ("FKS_QUOTE_ASSET", "BTC", "quote_asset BTC is also among mains"),
        ("FKS_HISTORY_DAYS", '{"7h": 3}', "expected one of 1m"),
        ("FKS_CANDLE_RETENTION_DAYS", '{"1h": 729}', "less than its history_days 730"),
        ("FKS_HISTORY_DAYS", "{}", "name at least one timeframe"),
        ("FKS_ACCOUNTS__MAIN__KIND", "live", "needs api_key and api_secret"),
        ("FKS_CHANNELS__DISCORD__URI", "discord://a/b", "FKS_CHANNELS__DISCORD__URL: Field required"),
        ("FKS_MAX_ORDER_NOTIONAL", "-1", "FKS_MAX_ORDER_NOTIONAL: Input should be greater than 0"),
        ("FKS_MAX_ORDER_NOTIONAL", "0", "FKS_MAX_ORDER_NOTIONAL: Input should be greater than 0"),
        ("FKS_MAX_ORDER_NOTIONAL", "NaN", "FKS_MAX_ORDER_NOTIONAL: Input should be a finite number"),
        ("FKS_MAX_DAY_NOTIONAL", "-0.01", "FKS_MAX_DAY_NOTIONAL: Input should be greater than 0"),
        ("FKS_MAX_DAY_NOTIONAL", "Infinity", "FKS_MAX_DAY_NOTIONAL: Input should be a finite number"),
        ("FKS_MAX_DAY_NOTIONAL", "1e30", "FKS_MAX_DAY_NOTIONAL: Decimal input should have no more than 24 digits"),
        ("FKS_MAX_DAY_NOTIONAL", "5000 USDT", "FKS_MAX_DAY_NOTIONAL: Input should be a valid decimal"),
        ("FKS_MAX_SLIPPAGE_PCT", "-1", "FKS_MAX_SLIPPAGE_PCT: Input should be greater than 0"),
        ("FKS_MAX_SLIPPAGE_PCT", "50", "FKS_MAX_SLIPPAGE_PCT: Input should be less than or equal to 20"),
        ("FKS_MAX_PRICE_MOVE_PCT", "0", "FKS_MAX_PRICE_MOVE_PCT: Input should be greater than 0"),
        ("FKS_EXCHANGE_SANDBOX", "true", "with exchange=simulator leave it out"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert expected in str(caught.value)


def test_a_misspelt_line_of_the_env_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OTHER=1\nFKS_ESCALATION_SECOND=60\n")
    with pytest.raises(SettingsError, match="Did you mean FKS_ESCALATION_SECONDS"):
        load_settings()


def test_the_env_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("FKS_PREFECT_PORT=4300\nFKS_SIMULATOR_PORT=4301\n")
    monkeypatch.setenv("FKS_PREFECT_PORT", "4400")
    settings = load_settings()
    assert (settings.prefect_port, settings.simulator_port) == (4400, 4301)


def test_an_error_never_prints_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__MAIN__API_KEY", "very-secret-key")
    monkeypatch.setenv("FKS_ACCOUNTS__MAIN__API_SECRET", "very-secret-secret")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "a paper account has no keys" in str(caught.value)
    assert "very-secret" not in str(caught.value)
    assert "very-secret" not in repr(caught.value.__cause__)


def test_protective_orders_are_refused_where_nothing_can_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__MAIN__PROTECTIVE_ORDERS", "true")
    with pytest.raises(SettingsError, match="nothing rests on a paper account; remove protective_orders"):
        load_settings()
    for name, value in (("KIND", "live"), ("API_KEY", "k"), ("API_SECRET", "s")):
        monkeypatch.setenv(f"FKS_ACCOUNTS__MAIN__{name}", value)
    monkeypatch.setenv("FKS_EXCHANGE", "binance")
    assert load_settings().accounts["main"].protective_orders
    monkeypatch.setenv("FKS_EXCHANGE_SANDBOX", "true")
    with pytest.raises(SettingsError, match="so main can have no protective_orders"):
        load_settings()


def test_two_live_accounts_with_the_same_key_are_refused_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in (("MAIN", "very-secret-key"), ("OTHER", "another-secret-key"), ("AGAIN", " very-secret-key")):
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__KIND", "live")
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__API_KEY", key)
        monkeypatch.setenv(f"FKS_ACCOUNTS__{name}__API_SECRET", "very-secret-secret")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    words = str(caught.value)
    assert "FKS_ACCOUNTS: " in words and "have the same api_key; remove one" in words
    assert "main and again" in words or "again and main" in words
    assert "other" not in words and "secret-" not in words
    monkeypatch.setenv("FKS_ACCOUNTS__AGAIN__API_KEY", "a-third-secret-key")
    assert len(load_settings().accounts) == 3


def test_secrets_are_masked_in_the_settings_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__MAIN__KIND", "live")
    monkeypatch.setenv("FKS_ACCOUNTS__MAIN__API_KEY", "very-secret-key")
    monkeypatch.setenv("FKS_ACCOUNTS__MAIN__API_SECRET", "very-secret-secret")
    monkeypatch.setenv("FKS_DATABASE_URL", "postgresql://fks:very-secret-password@127.0.0.1/fks")
    assert "very-secret" not in repr(load_settings())


def test_another_env_file_or_none_takes_the_place_of_the_usual_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("FKS_QUOTE_ASSET=EUR\n")
    (tmp_path / "other.env").write_text("FKS_QUOTE_ASSET=USDC\n")
    assert load_settings().quote_asset == "EUR"
    monkeypatch.setenv("FKS_ENV_FILE", str(tmp_path / "other.env"))
    assert load_settings().quote_asset == "USDC"
    monkeypatch.setenv("FKS_ENV_FILE", "")
    assert load_settings().quote_asset == "USDT"
    for wrong in (str(tmp_path / "absent.env"), "other.env"):
        monkeypatch.setenv("FKS_ENV_FILE", wrong)
        with pytest.raises(SettingsError, match="Expected the full path of a file in FKS_ENV_FILE"):
            load_settings()


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"FKS_RISK_MEDIUM_EXPOSURE_PCT": "90"}, "risk_medium_exposure_pct 90 is above risk_high_exposure_pct 80"),
        ({"FKS_RISK_MEDIUM_LOSS_PCT": "50"}, "risk_medium_loss_pct 50 is above"),
        ({"FKS_RISK_HIGH_POSITION_PCT": "10"}, "max_position_pct 15 is above risk_high_position_pct 10"),
        ({"FKS_CASH_RESERVE_PCT": "150"}, "FKS_CASH_RESERVE_PCT"),
        ({"FKS_RISK_PER_TRADE_PCT": "1000"}, "FKS_RISK_PER_TRADE_PCT"),
        ({"FKS_MAX_POSITION_PCT": "300"}, "FKS_MAX_POSITION_PCT"),
        ({"FKS_SIGNAL_TIMEFRAME": "30m"}, "signal_timeframe 30m is not in history_days"),
        ({"FKS_PREFECT_PORT__FOO": "5"}, "Unknown setting FKS_PREFECT_PORT__FOO"),
        ({"FKS_CHANNELS__TEAM__TYPES": "stop_loss"}, "FKS_CHANNELS__TEAM__TYPES is no JSON"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(named)):
        load_settings()


def test_an_empty_value_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FKS_HOME", "FKS_SIGNAL_MIN_SENTIMENT", "FKS_PREFECT_PORT"):
        monkeypatch.setenv(name, "")
    settings = load_settings()
    assert settings.home.is_absolute()
    assert (settings.signal_min_sentiment, settings.prefect_port) == (None, 4200)


def test_candles_stay_three_times_as_long_as_their_history_unless_it_is_said_otherwise() -> None:
    settings = load_settings(history_days={"5m": 10, "1h": 100}, candle_retention_days={"1h": 150, "1m": 7})
    assert {timeframe: kept.days for timeframe, kept in settings.candle_retention.items()} == {
        "5m": 30,
        "1h": 150,
        "1m": 7,
    }
    assert {timeframe: kept.days for timeframe, kept in settings.indicator_retention.items()} == {"5m": 10, "1h": 100}
    assert settings.archive_place == str(settings.home / "archive")
