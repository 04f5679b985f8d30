"""Recounts what an origin holds against a ledger of what it acknowledged, with DuckDB.

    python3 recount.py LEDGER.csv DUMP.csv [FEATURES.csv]

LEDGER (`mediaflow-figures events --ledger`) has a line per acknowledged event: id,kind,reader,content,time_ms. DUMP
(`mediaflow-figures dump`) has a line per event of the log: id,kind,reader,content,partition,offset, where the reader is a
pseudonym. FEATURES has a line per item and kind with the online value: content,kind,n. Prints one JSON object; everything but
`acknowledged`, `logged`, `counts` and `features` must be 0.
"""

import json
import sys

import duckdb

ledger, dump, *features = sys.argv[1:]
db = duckdb.connect()
read = "read_csv(?, header = true, all_varchar = true)"
db.execute(f"create table ledger as select id, kind, reader, content from {read}", [ledger])
db.execute(
    f"create table log as select id, kind, reader, content, partition, \"offset\"::bigint as position from {read}", [dump]
)


def number(query):
    return db.execute(query).fetchone()[0]


counted = "select kind, content, count(*) as n from {} group by all"
told = {
    "acknowledged": number("select count(*) from ledger"),
    "logged": number("select count(*) from log"),
    "lost": number("select count(*) from (select id from ledger except select id from log)"),
    "doubled": number("select count(*) - count(distinct id) from log"),
    "invented": number("select count(*) from (select id from log except select id from ledger)"),
    "different": number(
        "select count(*) from ledger join log using (id) "
        "where ledger.kind <> log.kind or ledger.content is distinct from log.content"
    ),
    # Counts by kind and item: how many there are, and how many differ in either direction.
    "counts": number(f"select count(*) from ({counted.format('ledger')})"),
    "wrong_counts": number(
        f"select count(*) from ({counted.format('ledger')}) a full join ({counted.format('log')}) b "
        "using (kind, content) where a.n is distinct from b.n"
    ),
    # A reader is one pseudonym and a pseudonym one reader, with as many events.
    "wrong_readers": number(
        "with pairs as (select l.reader as r, g.reader as p, count(*) as n from ledger l join log g using (id) group by all) "
        "select count(*) - count(distinct r) + count(*) - count(distinct p) from pairs"
    ),
    # All events of a reader lie in one partition, and offsets have no gaps.
    "split_readers": number(
        "select count(*) from (select reader from log group by reader having count(distinct partition) > 1)"
    ),
    "gaps": number(
        "select coalesce(sum(span - n), 0)::bigint from "
        "(select max(position) + 1 as span, count(*) as n from log group by partition)"
    ),
}
if features:
    db.execute(f"create table features as select content, kind, n::bigint as n from {read}", features)
    told["features"] = number("select count(*) from features where n > 0")
    # What was told of no item is no item's, and only these kinds have a total.
    told["wrong_features"] = number(
        "with counted as (select content, kind, count(*) as n from ledger "
        "where content <> '' and kind in (select distinct kind from features) group by all) "
        "select count(*) from counted a full join (from features where n > 0) b "
        "using (content, kind) where a.n is distinct from b.n"
    )
print(json.dumps(told))
