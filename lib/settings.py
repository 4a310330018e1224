"""The one reader of the environment: `FKS_*` variables and the `.env` file of the project's root.

A variable that begins with `FKS_` and that nothing reads is refused: a typing error in a stop-loss setting must not
silently mean the default.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_origin
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SettingsSourceError

from lib.errors import SettingsError
from lib.health.bounds import HealthBounds
from lib.notifications.holding import Holding, QuietHours, parse_quiet_hours
from lib.notifications.messages import MessageType, Severity
from lib.params import AssetName, SymbolName, Timeframe
from lib.portfolio.accounts import AccountKind
from lib.portfolio.exits import ExitPolicy

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SIMULATOR = "simulator"
ENV_FILE = "FKS_ENV_FILE"  # names another file than .env; empty: none. The demo sets it, for itself and its flows
TEST_VARIABLES = {"FKS_REAL_DATA", "FKS_TEST_TIMESCALE_URL"}  # read by tests, not by Settings


Percent = Annotated[Decimal, Field(gt=0, le=100, max_digits=12)]


class AccountSettings(BaseModel):
    """One account: ``FKS_ACCOUNTS__MAIN__KIND=live``, ``FKS_ACCOUNTS__MAIN__API_KEY=…``.

    Attributes:
        kind: Live or paper.
        api_key: Of the exchange; live only.
        api_secret: Of the exchange; live only.
        paper_cash: What a paper account begins with, in the quote asset; it counts only at its first run.
        paper_fee_ratio: Of what an order receives; paper only.
        stop_loss_pct: Every open position without a stop loss gets one so far below its cost or price, the lower one.
        approval_required: Whether a person must approve before orders are sent; when not given, on live accounts.
        stop_policy: What follows when a position's price falls to its stop loss: `alert` tells people, `approve` also
            asks them to approve the sale by a form, `exit` sells at once without asking.
        take_profit_policy: The same of a price that rises to the take profit.
        protective_orders: Whether the stop loss of every position rests on the exchange as an order, with its take
            profit beside it; live only. It sells also while nothing of FKS runs, and asks nobody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: AccountKind = AccountKind.PAPER
    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None
    paper_cash: Annotated[Decimal, Field(gt=0, max_digits=24)] = Decimal(10_000)
    paper_fee_ratio: Annotated[Decimal, Field(ge=0, lt=Decimal("0.1"))] = Decimal("0.001")
    stop_loss_pct: Annotated[Decimal, Field(gt=0, lt=100)] | None = None
    approval_required: bool | None = None
    stop_policy: ExitPolicy = ExitPolicy.ALERT
    take_profit_policy: ExitPolicy = ExitPolicy.ALERT
    protective_orders: bool = False

    @property
    def needs_approval(self) -> bool:
        """Whether a person must approve before orders are sent."""
        return self.kind is AccountKind.LIVE if self.approval_required is None else self.approval_required

    @model_validator(mode="after")
    def _keys_fit_kind(self) -> Self:
        keys = bool(self.api_key), bool(self.api_secret)
        if self.kind is AccountKind.LIVE and not all(keys):
            raise ValueError("a live account needs api_key and api_secret; set both or use kind=paper")
        if self.kind is AccountKind.PAPER and any(keys):
            raise ValueError("a paper account has no keys; remove them or use kind=live")
        if self.kind is AccountKind.PAPER and self.protective_orders:
            raise ValueError("nothing rests on a paper account; remove protective_orders, its stop_policy sells there")
        return self


class ChannelSettings(BaseModel):
    """One channel: ``FKS_CHANNELS__DISCORD__URL=discord://…`` (any Apprise URL).

    Attributes:
        url: The Apprise URL; a secret.
        types: Which messages it wants; empty means all.
        min_severity: From which severity on.
        order: Its place for escalation: an urgent message goes on to the next channel when this one is silent.
        quiet_hours: "22:00-07:00" (UTC) or "22:00-07:00 Europe/Berlin": information waits for their end.
        digest_minutes: Information is collected for so long and comes as one message.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr
    types: frozenset[MessageType] = frozenset()
    min_severity: Severity = Severity.INFO
    order: int = 0
    quiet_hours: Annotated[InstanceOf[QuietHours], BeforeValidator(parse_quiet_hours)] | None = None
    digest_minutes: Annotated[int, Field(ge=0, le=1440)] = 0

    @property
    def holding(self) -> Holding:
        """When it takes information; warnings and urgent messages go out at once."""
        return Holding(self.quiet_hours, timedelta(minutes=self.digest_minutes))


class Settings(HealthBounds, BaseSettings):
    """Everything an operator may set. Every field can be given as ``FKS_<NAME>``; nested ones with ``__``."""

    model_config = SettingsConfigDict(
        env_prefix="FKS_",
        env_nested_delimiter="__",
        env_file=PROJECT_ROOT / ".env",
        env_ignore_empty=True,  # an empty value means the default
        extra="ignore",  # foreign lines of .env; our own misspelt ones are refused by load_settings
        validate_default=True,
        frozen=True,
        hide_input_in_errors=True,  # an error must not print a key
    )

    home: Path = Field(PROJECT_ROOT / ".fks", description="Folder of the data, logs and generated passwords.")
    database_url: SecretStr | None = Field(
        None, description="postgresql://… of an own server; without it the embedded one is used."
    )
    prefect_port: Annotated[int, Field(ge=1, le=65535)] = 4200
    simulator_port: Annotated[int, Field(ge=1, le=65535)] = 4280
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    exchange: str = Field(SIMULATOR, description="simulator, binance, or any spot exchange id of ccxt.")
    exchange_url: str | None = Field(
        None, description="Base URL of a Binance-like server; the simulator's is set by itself."
    )
    exchange_sandbox: bool = Field(
        False, description="Use the exchange's test network. On Binance's no order of a live account can be sent."
    )
    exchange_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10
    exchange_weight_per_minute: Annotated[int, Field(ge=100)] = Field(
        6000, description="Request weight shared by all processes (Binance: 6000)."
    )
    exchange_concurrency: Annotated[int, Field(ge=1, le=100)] = Field(20, description="Requests in flight per process.")
    clock_offset_alert_ms: Annotated[int, Field(ge=1)] = 500

    quote_asset: AssetName = "USDT"
    mains: tuple[AssetName, ...] = ("BTC", "ETH", "BNB")
    alts: tuple[AssetName, ...] = ("ADA", "SOL", "DOT", "POL", "AVAX", "LINK", "ATOM")
    history_days: dict[Timeframe, Annotated[int, Field(ge=1)]] = Field(
        {"5m": 30, "1h": 730, "4h": 730, "1d": 1825},
        description="The timeframes kept, and how many days of each are backfilled at first.",
    )
    sync_wait_seconds: Annotated[float, Field(ge=0)] = Field(
        20, description="How long a sync waits for another one that does the same work."
    )
    gap_settle_seconds: Annotated[int, Field(ge=60)] = Field(
        3600, description="A gap is marked verified absent only when it is older than this."
    )

    accounts: dict[str, AccountSettings] = Field(default_factory=dict)
    stop_price_max_age_seconds: Annotated[int, Field(ge=10, le=600)] = 120
    stop_realert_minutes: Annotated[int, Field(ge=1)] = 30

    break_tolerance_quote: Annotated[Decimal, Field(ge=0)] = Field(
        Decimal(1), description="A difference between ledger and exchange worth less is no break."
    )
    break_settle_minutes: Annotated[int, Field(ge=0, le=240)] = Field(
        10, description="How long a difference must last before people are told."
    )
    dust_quote: Annotated[Decimal, Field(ge=0)] = Field(
        Decimal(1), description="An asset worth less is listed as dust."
    )

    signal_timeframe: Timeframe = Field(
        "1h",
        description="Of the candles that strategies decide on. Each run decides on the last closed one: what begins at "
        "candles that close more often than runs come (every 15 minutes) is only told as missed.",
    )
    signal_min_sentiment: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        None, description="Symbols with worse news than this, -1 to 1, get no BUY; empty: news do not count."
    )
    risk_per_trade_pct: Annotated[Percent, Field(le=10)] = Field(
        Decimal(1), description="Of equity; lost when a BUY's stop loss is hit."
    )
    cash_reserve_pct: Annotated[Decimal, Field(ge=0, lt=100)] = Field(Decimal(20), description="Of equity; stays cash.")
    max_position_pct: Percent = Field(Decimal(15), description="Of equity; the most in one symbol.")
    fee_pct: Annotated[Decimal, Field(ge=0, lt=10)] = Field(Decimal("0.1"), description="Of an order's notional.")
    backtest_cash: Annotated[Decimal, Field(gt=0, max_digits=24)] = Field(
        Decimal(10_000), description="What the account of a backtest begins with, in the quote asset."
    )
    backtest_slippage_pct: Annotated[Decimal, Field(ge=0, lt=10)] = Field(
        Decimal("0.05"), description="Of the price; what each fill of a backtest is worse by."
    )
    search_combinations: Annotated[int, Field(ge=2, le=10_000)] = Field(
        200, description="Parameters tried of each strategy every night; all of a smaller space."
    )
    search_train_days: Annotated[int, Field(ge=14)] = Field(180, description="Days on which parameters are chosen.")
    search_test_days: Annotated[int, Field(ge=7)] = Field(30, description="Days after them on which they are judged.")
    search_seed: int = Field(1, description="The same one tries the same parameters.")
    search_processes: Annotated[int, Field(ge=0, le=512)] | None = Field(
        None, description="Of a search, side by side; empty: one a processor, 4 at most; 0: threads of the run."
    )
    dask_address: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss|ucx|inproc)://.+")] | None = Field(
        None, description="Scheduler of a Dask cluster to search on, as tcp://10.0.0.5:8786; needs `make dask`."
    )
    validation_days: Annotated[int, Field(ge=7, le=3650)] = Field(
        180, description="Recent days that a strategy is judged on every night."
    )
    validation_min_sharpe: Annotated[float, Field(ge=-10, le=10)] = Field(
        1.0, description="A strategy must be above it on those days, or it is disabled."
    )
    validation_min_return_pct: Annotated[float, Field(ge=-100, le=1000)] = Field(0.0, description="As above.")
    validation_max_drawdown_pct: Percent = Field(Decimal(30), description="A strategy must stay below it.")
    validation_min_trades: Annotated[int, Field(ge=0)] = Field(20, description="It must have made at least so many.")
    promotion_min_deflated_sharpe: Annotated[float, Field(ge=0, le=1)] = Field(
        0.95, description="Of a candidate: the least probability that it is more than the luck of many trials."
    )
    promotion_max_overfitting_pct: Percent = Field(
        Decimal(50), description="Of a candidate: how often what was best may turn out worse than half."
    )

    max_order_notional: Annotated[Decimal, Field(gt=0, max_digits=24)] | None = Field(
        None, description="Quote; a larger order is refused. Empty: no limit."
    )
    max_day_notional: Annotated[Decimal, Field(gt=0, max_digits=24)] | None = Field(
        None, description="Quote; what an account may buy and sell in a UTC day, together. Empty: no limit."
    )
    max_price_move_pct: Percent = Field(
        Decimal(2), description="An order is refused when the price moved more than this since it was decided."
    )
    max_slippage_pct: Annotated[Percent, Field(le=20)] = Field(
        Decimal(1), description="How much worse than its reference price an order may fill."
    )
    order_price_max_age_seconds: Annotated[int, Field(ge=5, le=300)] = Field(
        30, description="Of the order book that an order is checked against."
    )
    order_grace_seconds: Annotated[int, Field(ge=10, le=120)] = Field(
        15, description="How long after a lost reply an order that the exchange does not have may still appear."
    )
    order_patience_seconds: Annotated[int, Field(ge=30, le=600)] = Field(
        90, description="How long a run waits for the end of one order; the next one carries on."
    )

    protective_slippage_pct: Annotated[Percent, Field(le=20)] = Field(
        Decimal(2), description="How far below its stop loss a protective order still sells."
    )

    mains_pct: Annotated[Decimal, Field(ge=0, le=100)] = Field(
        Decimal(50), description="Of the invested capital for the mains; the alts get the rest."
    )
    target_weights: dict[AssetName, Annotated[Decimal, Field(ge=0)]] = Field(
        default_factory=dict, description='Of assets within their group, 1 where none is given, as {"BTC": 2}.'
    )
    sell_others: bool = Field(False, description="Whether a plan sells what is held besides mains and alts.")
    rebalance_band_pct: Annotated[Decimal, Field(gt=0, lt=100)] = Field(
        Decimal(5), description="Of equity; what may be off before rebalancing is recommended."
    )
    rebalance_smallest_leg_pct: Annotated[Decimal, Field(gt=0, lt=100)] = Field(
        Decimal("0.5"), description="Of equity; a smaller trade is not worth it."
    )
    plan_max_age_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(
        30, description="Since a plan's prices were confirmed; after that nothing of it is sent."
    )
    approval_hours: Annotated[float, Field(gt=0, le=168)] = Field(
        12, description="No answer to an approval form within this is a rejection."
    )

    candle_retention_days: dict[Timeframe, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="How long candles stay in the database before their month is archived; a timeframe that is not "
        "named: three times its history_days.",
    )
    indicator_retention_days: dict[Timeframe, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="The same of indicators; a timeframe that is not named: its history_days."
    )
    archive_url: SecretStr | None = Field(
        None, description="Folder of the archive, or any place that fsspec knows; without it, one in the home folder."
    )
    hold_signal_days: Annotated[int, Field(ge=30)] = Field(90, description="Older HOLD signals are deleted.")
    attachment_days: Annotated[int, Field(ge=7)] = Field(30, description="Older files of messages are deleted.")
    page_days: Annotated[int, Field(ge=7)] = Field(365, description="Older pages of reports and backtests are deleted.")
    news_days: Annotated[int, Field(ge=30)] = Field(730, description="Older news are deleted.")

    indicator_rows: Annotated[int, Field(ge=300)] = Field(
        1000, description="Rows of indicators computed for a series that is new, and candles watched for changes."
    )

    risk_high_exposure_pct: Percent = Field(Decimal(80), description="Of equity; above it risk is HIGH.")
    risk_medium_exposure_pct: Percent = Field(Decimal(50), description="Of equity; above it risk is MEDIUM.")
    risk_high_loss_pct: Percent = Field(Decimal(10), description="Unrealized loss, of equity; above it risk is HIGH.")
    risk_medium_loss_pct: Percent = Field(Decimal(5), description="Unrealized loss, of equity; above it: MEDIUM.")
    risk_high_position_pct: Percent = Field(Decimal(20), description="One position, of equity; above it: HIGH.")
    risk_realert_hours: Annotated[int, Field(ge=1)] = Field(24, description="Between messages while it stays HIGH.")

    news_feeds: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='RSS and Atom feeds by name, as {"coindesk": "https://…"}; the simulator serves one of its own.',
    )

    channels: dict[str, ChannelSettings] = Field(default_factory=dict)
    escalation_seconds: Annotated[int, Field(ge=10)] = 120

    @field_validator("accounts")
    @classmethod
    def _keys_are_used_once(cls, accounts: dict[str, AccountSettings]) -> dict[str, AccountSettings]:
        """Two names of one account would each trade all of it, and count its money twice."""
        first_by_key: dict[str, str] = {}
        for name, account in accounts.items():
            key = account.api_key.get_secret_value().strip() if account.api_key else ""
            if key and (first := first_by_key.setdefault(key, name)) != name:
                raise ValueError(
                    f"{first} and {name} have the same api_key; remove one, or give it its own account's key"
                )
        return accounts

    @field_validator("mains", "alts")
    @classmethod
    def _assets_are_named_once(cls, assets: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(assets)) != len(assets):
            raise ValueError(f"an asset is named twice: {', '.join(assets)}")
        return assets

    @model_validator(mode="after")
    def _values_agree(self) -> Self:
        both = set(self.mains) & set(self.alts)
        if both:
            raise ValueError(f"{', '.join(sorted(both))} is in mains and in alts; keep it in one")
        if self.quote_asset in {*self.mains, *self.alts}:
            raise ValueError(f"quote_asset {self.quote_asset} is also among mains or alts; remove it there")
        if not self.mains and not self.alts:
            raise ValueError("mains and alts are both empty; name at least one asset")
        if not self.history_days:
            raise ValueError('history_days is empty; name at least one timeframe, as {"1h": 730}')
        if self.signal_timeframe not in self.history_days:
            raise ValueError(f"signal_timeframe {self.signal_timeframe} is not in history_days; add it there")
        for timeframe, days in self.candle_retention_days.items():
            if days < (wanted := self.history_days.get(timeframe, 0)):
                raise ValueError(
                    f"candle_retention_days {days} of {timeframe} is less than its history_days {wanted}: what is "
                    "fetched would be archived at once; raise the one or lower the other"
                )
        if self.prefect_port == self.simulator_port:
            raise ValueError(f"prefect_port and simulator_port are both {self.prefect_port}; set one to another port")
        if self.exchange == SIMULATOR and self.exchange_sandbox:
            raise ValueError("exchange_sandbox is for real exchanges; with exchange=simulator leave it out")
        return self

    @model_validator(mode="after")
    def _orders_can_rest(self) -> Self:
        protected = [name for name, account in self.accounts.items() if account.protective_orders]
        if self.exchange_sandbox and protected:
            raise ValueError(
                f"no order can be sent on the test network, so {', '.join(protected)} can have no protective_orders; "
                "remove them, or exchange_sandbox"
            )
        return self

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        for kind in ("exposure", "loss"):
            medium, high = (getattr(self, f"risk_{level}_{kind}_pct") for level in ("medium", "high"))
            if medium > high:
                raise ValueError(f"risk_medium_{kind}_pct {medium} is above risk_high_{kind}_pct {high}; swap them")
        if self.max_position_pct > self.risk_high_position_pct:
            raise ValueError(
                f"max_position_pct {self.max_position_pct} is above risk_high_position_pct "
                f"{self.risk_high_position_pct}: every full BUY would be HIGH risk; lower the one or raise the other"
            )
        if unknown := sorted(set(self.target_weights) - {*self.mains, *self.alts}):
            raise ValueError(f"target_weights name {', '.join(unknown)}, which are neither mains nor alts; remove them")
        return self

    @cached_property
    def symbols(self) -> tuple[SymbolName, ...]:
        """The symbols kept fresh, mains first."""
        return tuple(f"{asset}/{self.quote_asset}" for asset in (*self.mains, *self.alts))

    @cached_property
    def market_source(self) -> str:
        """Whose data this is: "simulator", "binance", "binance's test network"; the simulator's address may change."""
        if self.exchange == SIMULATOR:
            return SIMULATOR
        network = "'s test network" if self.exchange_sandbox else ""
        place = f" at {urlsplit(self.exchange_url).netloc}" if self.exchange_url else ""
        return f"{self.exchange}{network}{place}"

    @cached_property
    def timeframes(self) -> tuple[str, ...]:
        """The timeframes kept."""
        return tuple(self.history_days)

    @cached_property
    def candle_retention(self) -> dict[str, timedelta]:
        """How long candles stay in the database, by timeframe."""
        usual = {timeframe: 3 * days for timeframe, days in self.history_days.items()}
        return {timeframe: timedelta(days=days) for timeframe, days in (usual | self.candle_retention_days).items()}

    @cached_property
    def indicator_retention(self) -> dict[str, timedelta]:
        """How long indicators stay in the database, by timeframe."""
        named = self.history_days | self.indicator_retention_days
        return {timeframe: timedelta(days=days) for timeframe, days in named.items()}

    @cached_property
    def archive_place(self) -> str:
        """The archive's folder: the one given, else one in the home folder."""
        return self.archive_url.get_secret_value() if self.archive_url else str(self.home / "archive")

    @cached_property
    def effective_accounts(self) -> dict[str, AccountSettings]:
        """The accounts given, else one that fits the exchange: the simulator's demo account, or an empty paper one."""
        if self.accounts:
            return self.accounts
        if self.exchange == SIMULATOR:
            keys = {"api_key": SecretStr("simulator-key"), "api_secret": SecretStr("simulator-secret")}
            return {"demo": AccountSettings(kind=AccountKind.LIVE, stop_loss_pct=Decimal(8), **keys)}
        return {"paper": AccountSettings()}

    @cached_property
    def effective_news_feeds(self) -> dict[str, str]:
        """The feeds given, else the simulator's where that is the exchange."""
        if self.news_feeds:
            return {name: url.get_secret_value() for name, url in self.news_feeds.items()}
        return {SIMULATOR: f"{self.exchange_url}/feed/rss.xml"} if self.exchange == SIMULATOR else {}


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env` (the environment wins); `overrides` win over both (tests, command line).

    Raises:
        SettingsError: Names each setting that is wrong or unknown, why, and the nearest known name. Never a value.
    """
    try:
        env_file = find_env_file()
        variables = [*os.environ, *(dotenv_values(env_file) if env_file else ())]
        _refuse_unknown(variables)
        return Settings(_env_file=env_file, **overrides)
    except SettingsSourceError as error:  # its cause quotes the value, which may be a secret
        field = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "")
        named = [one for one in variables if one.upper().startswith(f"FKS_{field.upper()}")]
        raise SettingsError(
            f"Settings are wrong: {' or '.join(named)} is no JSON. A list is written as "
            '\'["BTC", "ETH"]\', pairs as \'{"1h": 730}\'.'
        ) from None
    except ValidationError as error:
        lines = [
            f"FKS_{'__'.join(str(part) for part in problem['loc']).upper() or 'settings'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("Settings are wrong. " + "; ".join(lines)) from None


def find_env_file() -> Path | None:
    """Return the file of settings: the one that FKS_ENV_FILE names, else `.env` of the project, which need not exist.

    Raises:
        SettingsError: The one that is named does not exist.
    """
    named = os.environ.get(ENV_FILE)
    if named is None:
        usual = Settings.model_config.get("env_file")
        return usual if isinstance(usual, Path) else None
    if named and not (Path(named).is_absolute() and Path(named).is_file()):  # a flow runs in another folder
        raise SettingsError(f"Expected the full path of a file in {ENV_FILE}, was {named}. Leave it empty for no file.")
    return Path(named) if named else None


def _refuse_unknown(variables: Iterable[str]) -> None:
    known = {f"FKS_{name.upper()}" for name in Settings.model_fields}
    nested = {f"FKS_{name.upper()}" for name, field in Settings.model_fields.items() if _is_nested(field.annotation)}
    for variable in variables:
        head, *parts = variable.upper().split("__")
        if not head.startswith("FKS_") or head in (nested if parts else known) | TEST_VARIABLES | {ENV_FILE}:
            continue
        near = difflib.get_close_matches(head, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else "See docs/operations.md for the settings."
        raise SettingsError(f"Unknown setting {variable}. {hint}")


def _is_nested(annotation: Any) -> bool:
    return get_origin(annotation) is dict
