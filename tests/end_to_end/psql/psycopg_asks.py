"""What psycopg gets of a node: a line of JSON. Takes the connection's description."""

import json
import sys
import threading
import time

import psycopg

connection = psycopg.connect(sys.argv[1])
got = {}
with connection.cursor() as cursor:
    # A client that prepares sends the same statement again and again.
    for _ in range(10):
        cursor.execute("SELECT count(*), sum(records) FROM by_second WHERE records >= %s", (0,))
    got["sums"] = [int(value) for value in cursor.fetchone()]
    cursor.execute("SELECT window_start, status FROM by_second ORDER BY window_start LIMIT 1")
    start, status = cursor.fetchone()
    got["start"], got["status"] = start.timestamp(), status
    cursor.execute("SELECT state FROM queries WHERE name = %s", ("by_second",))
    got["state"] = cursor.fetchone()[0]
connection.commit()

with psycopg.connect(sys.argv[1], cursor_factory=psycopg.RawCursor) as raw, raw.cursor(binary=True) as cursor:
    cursor.execute("SELECT records, octets, window_end, status FROM by_second WHERE records > $1", (0,))
    got["binary_rows"] = len(cursor.fetchall())

with connection.cursor("slow") as cursor:
    cursor.itersize = 1
    cursor.execute("SELECT records FROM by_second")
    got["fetched"] = sum(1 for _ in cursor)
connection.commit()

try:
    connection.execute("INSERT INTO by_second VALUES (1)")
except psycopg.errors.ReadOnlySqlTransaction as error:
    got["refused"] = str(error).splitlines()[0]
connection.rollback()

threading.Timer(0.5, connection.cancel).start()
began = time.monotonic()
try:
    connection.execute("SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")
except psycopg.errors.QueryCanceled:
    got["cancelled_within_s"] = time.monotonic() - began
connection.rollback()
got["after"] = connection.execute("SELECT 1").fetchone()[0]
print(json.dumps(got))
