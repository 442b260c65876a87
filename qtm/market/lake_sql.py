"""DuckDB SQL over the files of the lake's tables: one SELECT, in memory, reading nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from qtm.errors import ConfigError
from qtm.market.delta import DeltaTables, first_line, quoted


def answer(tables: DeltaTables, datasets: Sequence[str], query: str) -> pl.DataFrame:
    """Answer one SELECT; each dataset is a view of its own name, at its newest version, also without rows.

    Raises
    ------
    ConfigError
        When the query is not one SELECT or DuckDB refuses it.
    """
    import duckdb
    from arro3.core import RecordBatchReader, Table

    connection = duckdb.connect(":memory:", config={"memory_limit": "512MB", "threads": "2"})
    try:
        for name in datasets:
            uris = tables.files(name)["uri"].to_list()
            if uris:
                listed = ", ".join(quoted(uri) for uri in uris)
                source = f"read_parquet([{listed}], hive_partitioning=false)"
                connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM {source}')
            else:
                connection.register(
                    name, Table.from_batches([], schema=tables.open(name).schema().to_arrow())
                )
        if tables.is_local:
            connection.execute(f"SET allowed_directories=[{quoted(tables.root)}]")
            connection.execute("SET enable_external_access=false")
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type not in (
            duckdb.StatementType.SELECT,
            duckdb.StatementType.EXPLAIN,
        ):
            raise ConfigError(
                "only one SELECT is answered here", where="sql", remedy="write the lake with `qtm ingest`"
            )
        return pl.DataFrame(RecordBatchReader.from_stream(connection.sql(query)).read_all())
    except duckdb.Error as error:
        raise ConfigError(
            f"the query cannot be answered: {first_line(error)}",
            where="sql",
            remedy=f"tables: {', '.join(datasets) or 'none; ingest first'}",
        ) from None
    finally:
        connection.close()
