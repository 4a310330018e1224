"""The rest of `lib.wiring`: what the five-minute chain never uses, imported when it is first asked for."""

from __future__ import annotations

from sqlalchemy import Engine

from lib.adapters.archive_folder import FsspecFolder
from lib.adapters.database.account_states import DatabaseStates
from lib.adapters.database.archive import DatabaseArchive
from lib.adapters.database.balances import DatabaseBalances
from lib.adapters.database.equity import DatabaseEquity
from lib.adapters.database.health import DatabaseHealth
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.indicators import DatabaseIndicators
from lib.adapters.database.news import DatabaseNews
from lib.adapters.database.performance import DatabasePerformance
from lib.adapters.database.reports import DatabaseReports
from lib.adapters.database.risk import DatabaseRisk
from lib.adapters.database.searches import DatabaseSearches
from lib.adapters.database.signals import DatabaseSignals
from lib.adapters.database.strategies import DatabaseStrategies
from lib.analysis_stores import AnalysisStores
from lib.archive.partitions import name_source
from lib.archive.stores import Archive
from lib.settings import Settings


def make_analysis(engine: Engine) -> AnalysisStores:
    """Return the stores of the other chains."""
    return AnalysisStores(
        history=DatabaseHistory(engine),
        indicators=DatabaseIndicators(engine),
        strategies=DatabaseStrategies(engine),
        signals=DatabaseSignals(engine),
        balances=DatabaseBalances(engine),
        states=DatabaseStates(engine),
        equity=DatabaseEquity(engine),
        performance=DatabasePerformance(engine),
        reports=DatabaseReports(engine),
        risk=DatabaseRisk(engine),
        news=DatabaseNews(engine),
        sentiment=DatabaseNews(engine),
        searches=DatabaseSearches(engine),
        health=DatabaseHealth(engine),
    )


def make_archive(engine: Engine, settings: Settings) -> Archive:
    """Return the archive of the settings' exchange."""
    return Archive(DatabaseArchive(engine), make_archive_folder(settings))


def make_archive_folder(settings: Settings) -> FsspecFolder:
    """Return the archive's folder, which is one of its own for each exchange; it is opened when it is used."""
    return FsspecFolder(f"{settings.archive_place.rstrip('/')}/{name_source(settings.market_source)}")
