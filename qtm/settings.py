"""One typed settings model: defaults, then `qtm.toml`, then `QTM_*` environment variables.

`QTM_CONFIG` names another file than `qtm.toml`. Nested values use two underscores in the environment
(`QTM_PAPER__SPOT_PORT=28080`). Unknown keys are errors. Secrets are `SecretStr`: they never show in logs,
reprs or `qtm doctor`.
"""

from __future__ import annotations

import difflib
import os
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from qtm.errors import ConfigError

PUBLIC_ARCHIVE = "https://data.binance.vision/data"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MarketSettings(_Section):
    """Where history comes from and which symbols it covers."""

    archive: str = PUBLIC_ARCHIVE
    """Binance's public archive: an https URL or a folder with the same layout."""
    spot_rest: str = "https://api.binance.com"
    um_rest: str = "https://fapi.binance.com"
    """Where the venue's public REST interfaces answer, for the newest bars, gaps and instruments."""
    intraday_symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    daily_universe: tuple[str, ...] = (
        "AAVEUSDT", "ADAUSDT", "ALGOUSDT", "AVAXUSDT", "BCHUSDT", "BNBUSDT", "BTCUSDT", "DOGEUSDT",
        "DOTUSDT", "ETCUSDT", "ETHUSDT", "FILUSDT", "HBARUSDT", "ICPUSDT", "LINKUSDT", "LTCUSDT",
        "NEARUSDT", "PAXGUSDT", "SHIBUSDT", "SOLUSDT", "TRXUSDT", "VETUSDT", "XLMUSDT", "XRPUSDT",
    )  # fmt: skip
    history_start: date = date(2020, 7, 1)
    """First day the pipelines offer for ingestion (UTC)."""
    synthetic_seed: int = 7
    timeout_s: float = Field(default=30.0, gt=0)
    retries: int = Field(default=4, ge=0, le=10)


class PaperSettings(_Section):
    """The paper exchange on loopback."""

    host: str = "127.0.0.1"
    spot_port: int = Field(default=18080, ge=1, le=65535)
    um_port: int = Field(default=18081, ge=1, le=65535)
    api_key: str = "paper-key"
    api_secret: SecretStr = SecretStr("paper-secret")
    quote_balance: Decimal = Decimal("100000")


class RiskSettings(_Section):
    """Firm-level limits of the gate and the report; a missing limit refuses the order."""

    capital: Decimal = Decimal("100000")
    max_order_value: Decimal = Decimal("150000")
    max_position_value: Decimal = Decimal("150000")
    price_collar: Decimal = Decimal("0.03")
    max_drawdown: Decimal = Decimal("0.25")
    daily_loss: Decimal = Decimal("0.05")
    at_loss_limit: Literal["reduce", "halt"] = "reduce"
    """Above a loss limit: only orders that shrink a position pass, or none until a person arms a new run."""
    messages_per_10s: int = Field(default=60, ge=1)
    cvar_alpha: float = Field(default=0.95, gt=0.5, lt=1)
    cvar_cap: float = Field(default=0.04, gt=0)
    scenario_model: str = "historical"
    """How the past becomes tomorrow's scenarios, of the weights, the report and the gate's CVaR budget."""
    scenario_window: int = Field(default=730, ge=30)
    """Daily returns the scenarios are made from."""
    least_history: int = Field(default=180, ge=2)
    """Fewest daily returns a symbol needs to be measured."""
    max_weight: float = Field(default=0.25, gt=0, le=1)
    limits_file: Path | None = None
    """Limit file (desks, traders, tighter limits) of stream, ticket and report, unless they are given one."""


class LimitedSettings(_Section):
    """Caps of a strategy at LIVE_LIMITED (TD-07); values in the account's quote currency, days by the clock.

    A grant keeps the caps it was made under: these tighten a running grant and never loosen it. With fewer
    than 20 days no strategy reaches LIVE.
    """

    max_instruments: int = Field(default=1, ge=1)
    max_order_value: Decimal = Field(default=Decimal(100), gt=0, allow_inf_nan=False)
    max_position_value: Decimal = Field(default=Decimal(200), gt=0, allow_inf_nan=False)
    max_orders_per_day: int = Field(default=10, ge=1)
    max_days: int = Field(default=30, ge=1, le=366)


class ControlSettings(_Section):
    """Who may promote a strategy; empty lists mean nobody may."""

    authorisers: tuple[str, ...] = ()
    risk_officers: tuple[str, ...] = ()
    promotion_days: int = Field(default=90, ge=1, le=366)
    """Days after which a promotion expires."""
    dossiers: Path | None = None
    """Folder of the strategies' dossiers; none means `<home>/dossiers`."""
    limited: LimitedSettings = LimitedSettings()


class LiveSettings(_Section):
    """Live trading stays off unless every gate is open; the default run is paper."""

    venue: Literal["paper", "binance"] = "paper"
    armed: bool = False
    api_key: str = ""
    api_secret: SecretStr = SecretStr("")


class Settings(BaseSettings):
    """All settings of the platform."""

    model_config = SettingsConfigDict(
        env_prefix="QTM_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    home: Path = Path("var")
    """Everything the platform writes lives under here: lake, state, reports, column cache."""
    lake: str = ""
    """Lake location; empty means `<home>/lake`. `s3://` URIs work too."""
    database_url: SecretStr = SecretStr("")
    """Operational store; empty means SQLite at `<home>/state/qtm.db`."""
    market: MarketSettings = MarketSettings()
    paper: PaperSettings = PaperSettings()
    risk: RiskSettings = RiskSettings()
    control: ControlSettings = ControlSettings()
    live: LiveSettings = LiveSettings()

    @property
    def lake_uri(self) -> str:
        """The lake's folder or URI."""
        return self.lake or str(self.home / "lake")

    @property
    def reports_dir(self) -> Path:
        """Where HTML reports go."""
        return self.home / "reports"

    @property
    def risk_reports_dir(self) -> Path:
        """Where the daily risk reports and their roll-ups go."""
        return self.reports_dir / "risk"

    @property
    def dossiers_dir(self) -> Path:
        """Where the strategies' dossiers are kept, `<strategy>.toml` each."""
        return self.control.dossiers or self.home / "dossiers"

    @property
    def state_dir(self) -> Path:
        """Where journals, outbox and locks live."""
        return self.home / "state"

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the operational store."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.state_dir / 'qtm.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments beat the environment, the environment beats the file."""
        file = Path(os.environ.get("QTM_CONFIG", "qtm.toml"))
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file))


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The effective settings of this process.

    Raises
    ------
    ConfigError
        Naming the first setting that is unknown or out of range.
    """
    named = os.environ.get("QTM_CONFIG")
    if named and not Path(named).is_file():
        raise ConfigError(
            "the configuration file does not exist", where=named, remedy="unset QTM_CONFIG or create it"
        )
    _refuse_unknown_variables()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"setting {name}: {first['msg']}",
            where=named or "qtm.toml or QTM_* variables",
            remedy="`qtm doctor` prints the effective settings",
        ) from None


_NOT_SETTINGS = {"QTM_CONFIG", "QTM_CACHE"}
"""Variables that are read before there are settings."""


def _refuse_unknown_variables() -> None:
    """Refuse a `QTM_*` variable that names no setting: a limit with a typo would not be in force."""
    known = {
        f"QTM_{field}__{inner}".upper() if inner else f"QTM_{field}".upper()
        for field, about in Settings.model_fields.items()
        for inner in ("", *getattr(about.annotation, "model_fields", {}))
    }
    for name in sorted(os.environ):
        # What is unknown inside a section is the section's to refuse.
        section = name.upper().partition("__")[0]
        inside = any(one.startswith(f"{section}__") for one in known) and "__" in name
        if name.upper().startswith("QTM_") and not inside and name.upper() not in known | _NOT_SETTINGS:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            raise ConfigError(
                f"the environment variable {name} names no setting",
                where="environment",
                remedy=f"{f'did you mean {near[0]}? ' if near else ''}unset it, or mend its name",
            )
