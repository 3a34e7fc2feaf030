"""What a description of an API cannot say: what SQL is, and which early results, metrics and alerts go with which windows."""

import schemathesis
from hypothesis import strategies
from schemathesis.openapi.checks import RejectedPositiveData

STATEMENTS = [
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('1 second')",
    "SELECT src_as, dst_as, sum(octets) AS octets FROM flows GROUP BY src_as, dst_as, tumble('10 seconds')",
    "SELECT src_ip, count(*) AS records FROM flows WHERE protocol = 6"
    " GROUP BY src_ip, tumble('1 second') ORDER BY records DESC LIMIT 5",
    "SELECT src_ip, dst_ip, octets FROM flows WHERE octets > 1000000",
]

TABLES = [
    "SELECT name, state, used FROM queries ORDER BY used DESC",
    "SELECT count(*) AS n FROM ledger",
    "SELECT fate, sum(count) AS n FROM ledger WHERE kind = 'source' GROUP BY fate",
    "SELECT * FROM sources",
]

schemathesis.openapi.format("sql", strategies.sampled_from(STATEMENTS))
CONDITIONS = ["rows", "records > 10", "octets >= 1_000_000", '"octets" <> 0', "latency < 0.5"]

schemathesis.openapi.format("alert-condition", strategies.sampled_from(CONDITIONS))
schemathesis.openapi.format("sql-of-tables", strategies.sampled_from(TABLES))


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """What is refused although it is as described: a time that does not go with the windows, or metrics, of a query
    that has none; alerts on columns that a query has not, by sinks that the node has not, or two of one condition; more
    than a query of this node may take; what is taken out of an answer, such as a name, and given
    as SQL; a change that a query cannot have, such as a key that is none; and a query of a stream that is asked of
    tables."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    if response.headers.get("content-type") != ["application/problem+json"]:
        return True
    if case.operation.path == "/api/v1/edit":
        return False
    detail = response.json()["detail"]
    is_statement = isinstance(case.body, dict) and str(case.body.get("sql")).startswith("SELECT ")
    reasons = ["a query of this node may take", "is a stream", "two alerts on"]
    is_known = detail.startswith(("early: ", "metrics: ", "alert: ")) or any(reason in detail for reason in reasons)
    return is_statement and not is_known
