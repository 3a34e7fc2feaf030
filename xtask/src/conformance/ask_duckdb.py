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
