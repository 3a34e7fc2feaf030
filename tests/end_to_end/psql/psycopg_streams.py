"""What psycopg gets of a node's streams: a line of JSON. Takes the connection's description."""

import json
import sys

import psycopg

SQL = "SELECT count(*) AS records FROM flows GROUP BY tumble('1 second')"
connection = psycopg.connect(sys.argv[1], autocommit=True)
got = {}

with connection.cursor() as cursor:
    records = []
    for row in cursor.stream(SQL):
        records.append(row[2])
        if len(records) == 2:
            break
    got["row_by_row"] = records

with connection.transaction(), connection.cursor("windows") as cursor:
    cursor.execute(SQL)
    got["columns"] = [column.name for column in cursor.description]
    got["by_cursor"] = [row[2] for row in cursor.fetchmany(2)]

try:
    connection.execute("SELECT octets FROM flows WHERE protocol = %s", (6,))
except psycopg.Error as error:
    got["refused"] = str(error)

got["after"] = connection.execute("SELECT 1").fetchone()[0]
print(json.dumps(got))
