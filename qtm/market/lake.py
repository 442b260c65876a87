"""The lake: bars, funding rates and instruments as Delta tables, with DuckDB SQL over their files.

One table per (market, kind, interval), for example `spot_bars_1m`, `um_mark_8h`, `um_funding`,
`instruments`. Time tables are partitioned by `month` (UTC) and sorted by (symbol, time) within each file.
Windows are half open: `start_ms <= time < end_ms`. Writing a window again replaces it, so every ingestion can
be repeated.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import polars as pl

from qtm.clock import iso_utc
from qtm.errors import DataError, StoreError
from qtm.market.bars import BarKind, BarSeries
from qtm.market.datasets import INSTRUMENTS as INSTRUMENTS
from qtm.market.datasets import Window as Window
from qtm.market.datasets import bars_dataset as bars_dataset
from qtm.market.datasets import funding_dataset as funding_dataset
from qtm.market.datasets import month_window as month_window
from qtm.market.datasets import months_between as months_between
from qtm.market.datasets import time_table as time_table
from qtm.market.datasets import trades_dataset as trades_dataset
from qtm.market.datasets import window_predicate, writable_rows
from qtm.market.delta import DeltaTables, quoted
from qtm.market.instrument_rows import instrument_of, rows_of
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.lake_sql import answer
from qtm.market.schemas import BAR_SCHEMA, FUNDING_SCHEMA, TRADE_SCHEMA
from qtm.settings import Settings


class Lake:
    """The market data of a firm under one folder or bucket `uri`."""

    def __init__(self, uri: str) -> None:
        self.tables = DeltaTables(uri)

    @classmethod
    def from_settings(cls, settings: Settings) -> Lake:
        """The lake the settings name."""
        return cls(settings.lake_uri)

    @property
    def uri(self) -> str:
        """The lake's folder (absolute) or bucket URI."""
        return self.tables.root

    # -- bars ---------------------------------------------------------------------------------------------

    def write_bars(
        self,
        market: Market,
        interval: Interval,
        frame: pl.DataFrame,
        *,
        start_ms: int,
        end_ms: int,
        kind: BarKind = BarKind.TRADE,
        symbols: Sequence[str] | None = None,
        commit: Mapping[str, str] | None = None,
    ) -> int:
        """Replace the window [start_ms, end_ms) of `symbols` by `frame` in one commit.

        Parameters
        ----------
        frame
            Columns of `BAR_SCHEMA`, in any row order; no two rows of one symbol share an open time.
        symbols
            The symbols replaced; by default those that occur in `frame`.
        commit
            Notes kept in the table's history, such as the source.

        Returns
        -------
        int
            The Delta version that holds the window.

        Raises
        ------
        DataError
            For columns other than `BAR_SCHEMA`, rows outside the window, nulls, or duplicates.
        StoreError
            When the disk refuses; the lake is then as it was.
        """
        replaced = tuple(sorted(set(symbols if symbols is not None else frame["symbol"])))
        dataset = bars_dataset(market, interval, kind)
        return self.replace(
            dataset, lambda: iter([frame]), [Window(replaced, start_ms, end_ms)], commit=commit
        )

    def scan_bars(
        self,
        market: Market,
        interval: Interval,
        *,
        symbols: Sequence[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        version: int | None = None,
        kind: BarKind = BarKind.TRADE,
    ) -> pl.LazyFrame:
        """The bars of a window as a lazy frame of `BAR_SCHEMA`, sorted by (symbol, open time)."""
        dataset = bars_dataset(market, interval, kind)
        found = self._scan(dataset, BAR_SCHEMA, "open_time_ms", symbols, start_ms, end_ms, version)
        return found.sort("symbol", "open_time_ms")

    def bars(
        self,
        market: Market,
        interval: Interval,
        symbol: str,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        version: int | None = None,
        kind: BarKind = BarKind.TRADE,
    ) -> BarSeries:
        """The bars of one symbol in memory.

        Raises
        ------
        DataError
            When the window holds no bar of the symbol, naming what the lake does hold.
        """
        dataset = bars_dataset(market, interval, kind)
        columns = ("open_time_ms", "open", "high", "low", "close", "volume")
        frame = (
            self._scan(dataset, BAR_SCHEMA, "open_time_ms", [symbol], start_ms, end_ms, version)
            .select(columns)
            .collect()
        )
        if frame.is_empty():
            raise self._nothing_found(dataset, symbol, start_ms, end_ms)
        if not frame["open_time_ms"].is_sorted():
            frame = frame.sort("open_time_ms")
        return BarSeries.from_frame(frame, symbol, interval)

    def closes(
        self,
        market: Market,
        interval: Interval,
        symbols: Sequence[str],
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Closes side by side: `open_time_ms` and one column per symbol, in the order given.

        A bar that does not exist is null. Raises DataError when a symbol has no bar in the window.
        """
        dataset = bars_dataset(market, interval)
        long = (
            self._scan(dataset, BAR_SCHEMA, "open_time_ms", symbols, start_ms, end_ms, version)
            .select("symbol", "open_time_ms", "close")
            .collect()
        )
        held = set(long["symbol"].unique())
        for symbol in symbols:
            if symbol not in held:
                raise self._nothing_found(dataset, symbol, start_ms, end_ms)
        wide = long.pivot(on="symbol", index="open_time_ms", values="close").sort("open_time_ms")
        return wide.select("open_time_ms", *symbols)

    def coverage(self, dataset: str) -> pl.DataFrame:
        """Per symbol of a time table: `symbol`, `rows`, `first_ms`, `last_ms` (open times)."""
        time = time_table(dataset).time
        uris = self.tables.files(dataset)["uri"].to_list()
        if not uris:
            return pl.DataFrame(
                schema={"symbol": pl.String, "rows": pl.UInt32, "first_ms": pl.Int64, "last_ms": pl.Int64}
            )
        return (
            pl.scan_parquet(uris)
            .group_by("symbol")
            .agg(pl.len().alias("rows"), pl.min(time).alias("first_ms"), pl.max(time).alias("last_ms"))
            .sort("symbol")
            .collect()
        )

    # -- funding ------------------------------------------------------------------------------------------

    def write_funding(
        self,
        market: Market,
        frame: pl.DataFrame,
        *,
        start_ms: int,
        end_ms: int,
        symbols: Sequence[str] | None = None,
        commit: Mapping[str, str] | None = None,
    ) -> int:
        """Replace the funding rates of a window; `frame` has the columns of `FUNDING_SCHEMA`."""
        replaced = tuple(sorted(set(symbols if symbols is not None else frame["symbol"])))
        return self.replace(
            funding_dataset(market),
            lambda: iter([frame]),
            [Window(replaced, start_ms, end_ms)],
            commit=commit,
        )

    def scan_funding(
        self,
        market: Market,
        *,
        symbols: Sequence[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """The funding rates of a window, sorted by (symbol, funding time)."""
        found = self._scan(
            funding_dataset(market), FUNDING_SCHEMA, "funding_time_ms", symbols, start_ms, end_ms, version
        )
        return found.sort("symbol", "funding_time_ms")

    # -- trades -------------------------------------------------------------------------------------------

    def scan_trades(
        self,
        market: Market,
        *,
        symbols: Sequence[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """The aggregate trades of a window (columns of `TRADE_SCHEMA`), sorted by (symbol, trade id)."""
        found = self._scan(
            trades_dataset(market), TRADE_SCHEMA, "time_ms", symbols, start_ms, end_ms, version
        )
        return found.sort("symbol", "trade_id")

    # -- instruments --------------------------------------------------------------------------------------

    def write_instruments(self, instruments: Iterable[Instrument]) -> int:
        """Replace these instruments, keeping every filter as the exact decimal text the venue sent."""
        frame = rows_of(instruments)
        keys = ", ".join(
            quoted(f"{market}:{symbol}") for market, symbol in frame.select("market", "symbol").rows()
        )
        predicate = f"concat(market, ':', symbol) IN ({keys})"
        return self.tables.overwrite(INSTRUMENTS, frame, predicate=predicate)

    def instruments(self, market: Market | None = None) -> list[Instrument]:
        """Every instrument of a market (or of all), sorted by symbol."""
        frame = pl.read_parquet(self.tables.files(INSTRUMENTS)["uri"].to_list())
        if market is not None:
            frame = frame.filter(pl.col("market") == market.value)
        return [instrument_of(row) for row in frame.sort("market", "symbol").iter_rows(named=True)]

    def instrument(self, market: Market, symbol: str) -> Instrument:
        """One instrument with its exact filters.

        Raises
        ------
        DataError
            When the symbol is unknown.
        """
        held = self.instruments(market)
        for instrument in held:
            if instrument.symbol == symbol:
                return instrument
        raise DataError(
            f"unknown symbol {symbol!r} on {market.label}",
            where=f"{self.uri}/{INSTRUMENTS}",
            remedy=f"`qtm ingest instruments --symbols {symbol}`; known: {_some(i.symbol for i in held)}",
        )

    # -- any time table -----------------------------------------------------------------------------------

    def files_of(
        self,
        dataset: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        version: int | None = None,
    ) -> list[str]:
        """URIs of the data files whose months a window touches, in the order of time."""
        files = self.tables.files(dataset, version=version)
        if files.is_empty():
            return []
        keep = pl.lit(True)
        if start_ms is not None:
            keep &= pl.col("partition.month") >= iso_utc(start_ms)[:7]
        if end_ms is not None:
            keep &= pl.col("partition.month") <= iso_utc(end_ms - 1)[:7]
        return files.filter(keep).sort("partition.month", "uri")["uri"].to_list()

    def replace(
        self,
        dataset: str,
        batches: Callable[[], Iterator[pl.DataFrame]],
        windows: Sequence[Window],
        *,
        commit: Mapping[str, str] | None = None,
    ) -> int:
        """Replace several windows of a table over time in one commit; returns its version.

        Parameters
        ----------
        batches
            Starts a stream of frames with the table's columns. They are checked and written as they come,
            so that memory does not grow with the windows; whatever the stream raises is raised here and
            leaves the lake as it was. A symbol's rows of one time occur in one frame only.

        Raises
        ------
        DataError
            For wrong columns, rows outside the windows, nulls, or a repeated time.
        StoreError
            When the disk refuses.
        """
        layout = time_table(dataset)
        if not any(window.symbols for window in windows):
            raise DataError(
                "nothing to write", where=dataset, remedy="give rows or name the symbols to clear"
            )
        for window in windows:
            if window.end_ms <= window.start_ms:
                raise DataError(
                    f"the window {iso_utc(window.start_ms)} to {iso_utc(window.end_ms)} is empty",
                    where=dataset,
                    remedy="give its earlier end first",
                )
        failures: list[BaseException] = []

        def checked() -> Iterator[pl.DataFrame]:
            try:
                for frame in batches():
                    yield writable_rows(dataset, frame, layout, windows)
            except BaseException as error:
                failures.append(error)
                raise

        try:
            return self.tables.overwrite(
                dataset,
                checked,
                schema={**layout.schema, "month": pl.String()},
                predicate=" OR ".join(window_predicate(window, layout.time) for window in windows),
                partition_by=["month"],
                commit=commit,
            )
        except StoreError:
            # A failure of the stream reaches us wrapped by the writer; the cause is what the user can mend.
            if failures:
                raise failures[-1] from None
            raise

    # -- versions and SQL ---------------------------------------------------------------------------------

    def version(self, dataset: str) -> int | None:
        """Newest Delta version of a dataset; None when it does not exist."""
        return self.tables.version(dataset)

    def datasets(self) -> list[str]:
        """Names of the datasets the lake holds, sorted."""
        if self.tables.is_local:
            return self.tables.names()
        known = [bars_dataset(m, i, k) for m in Market for i in Interval for k in BarKind]
        known += [name(m) for m in Market for name in (funding_dataset, trades_dataset)] + [INSTRUMENTS]
        return sorted(name for name in known if self.tables.exists(name))

    def sql(self, query: str) -> pl.DataFrame:
        """Answer one SELECT over the lake; each dataset is a view of its own name.

        DuckDB runs in memory over the files of the newest versions; it cannot write, and reads nothing
        outside the lake.

        Raises
        ------
        ConfigError
            When the query is not one SELECT or DuckDB refuses it.
        """
        return answer(self.tables, self.datasets(), query)

    # -- inside -------------------------------------------------------------------------------------------

    def _scan(
        self,
        dataset: str,
        schema: Mapping[str, pl.DataType],
        time: str,
        symbols: Sequence[str] | None,
        start_ms: int | None,
        end_ms: int | None,
        version: int | None,
    ) -> pl.LazyFrame:
        uris = self.files_of(dataset, start_ms, end_ms, version=version)
        rows = pl.lit(True)
        if start_ms is not None:
            rows &= pl.col(time) >= start_ms
        if end_ms is not None:
            rows &= pl.col(time) < end_ms
        if symbols is not None:
            rows &= pl.col("symbol").is_in(list(symbols))
        if not uris:
            return pl.LazyFrame(schema=dict(schema))
        return pl.scan_parquet(uris).select(list(schema)).filter(rows)

    def _nothing_found(
        self, dataset: str, symbol: str, start_ms: int | None, end_ms: int | None
    ) -> DataError:
        held = self.coverage(dataset).filter(pl.col("symbol") == symbol)
        window = f"{iso_utc(start_ms) if start_ms is not None else 'the first bar'} to "
        window += iso_utc(end_ms) if end_ms is not None else "the last bar"
        if held.is_empty():
            known = self.coverage(dataset)["symbol"].to_list()
            close = difflib.get_close_matches(symbol, known, n=1, cutoff=0.75)
            hint = f"did you mean {close[0]}? else " if close else ""
            return DataError(
                f"no {symbol} in {dataset}",
                where=self.uri,
                remedy=f"{hint}ingest it; {dataset} holds {_some(known)}",
            )
        first, last = held.select("first_ms", "last_ms").row(0)
        return DataError(
            f"no bar of {symbol} from {window}",
            where=f"{self.uri}/{dataset}",
            remedy=f"ingest that window; {symbol} is held from {iso_utc(first)} to {iso_utc(last)}",
        )


def _some(symbols: Iterable[str], limit: int = 8) -> str:
    names = sorted(symbols)
    shown = ", ".join(names[:limit]) or "nothing"
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
