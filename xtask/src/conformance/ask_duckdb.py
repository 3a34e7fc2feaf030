"""Answers queries by DuckDB, for `cargo xtask conformance sql`.

Arguments: for each table its name, a CSV file and its columns and types as JSON. One query a line on standard input, as a JSON
string; for each of them one line on standard output: {"rows": [...]} or {"error": "..."}.
"""

import decimal
import json
import math
import sys

import duckdb


def load(database, name, path, columns):
    columns = {column: kind for column, kind in json.loads(columns)}
    database.execute(
        f"CREATE TABLE {name} AS SELECT * FROM read_csv(?, header = true, nullstr = '', columns = {columns})",
        [path],
    )
    check_parquet(database, name, path, columns)


def check_parquet(database, name, path, columns):
    """Ends where the Parquet file beside a CSV file says something else; of text, how many values differ is compared,
    since addresses are written otherwise in CSV."""
    file = path.removesuffix(".csv") + ".parquet"
    described = database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [file]).fetchall()
    is_time = {column: kind.startswith("TIMESTAMP") for column, kind, *_ in described}
    numbers = [column for column, kind in columns.items() if kind != "VARCHAR"]
    texts = [column for column, kind in columns.items() if kind == "VARCHAR"]
    rows = ", ".join(f"epoch_ns({column})" if is_time[column] else column for column in numbers)
    here, there = f"SELECT {rows} FROM read_parquet('{file}')", f"SELECT {', '.join(numbers)} FROM {name}"
    differing = f"SELECT count(*) FROM (({here} EXCEPT ALL {there}) UNION ALL ({there} EXCEPT ALL {here}))"
    counts = "SELECT count(*), " + ", ".join(f"count({text}), count(DISTINCT {text})" for text in texts)
    found = [database.execute(f"{counts} FROM {table}").fetchone() for table in (name, f"read_parquet('{file}')")]
    if database.execute(differing).fetchone()[0] or found[0] != found[1]:
        sys.exit(f"{file} says something else than {path}: {found}")


def plain(value):
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and math.isnan(value):
        return None  # as tapline writes it in JSON
    return value


def answer(database, sql):
    try:
        rows = database.execute(sql).fetchall()
    except duckdb.Error as error:
        return {"error": str(error).splitlines()[0]}
    return {"rows": [[plain(value) for value in row] for row in rows]}


def main(arguments):
    database = duckdb.connect(config={"threads": 2})
    database.execute("SET enable_progress_bar = false")
    for name, path, columns in zip(arguments[0::3], arguments[1::3], arguments[2::3]):
        load(database, name, path, columns)
    for line in sys.stdin:
        print(json.dumps(answer(database, json.loads(line))), flush=True)


main(sys.argv[1:])
