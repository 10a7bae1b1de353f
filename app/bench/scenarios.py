"""What is measured beside the race, a trip at a time: the floor, growth, shapes of rows, partitions, compression, more consumers."""

import copy
import sqlite3
import sys
from contextlib import closing

from contenders import Ferry
from lab import FLOOR, PEERS, Running, check_equal, costs, run, settle, users

TABLE = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, age INTEGER, balance REAL, created_at TEXT)"


def trip(lab, source, ferry=None, partitions=None, settings=None, consumers=1):
    """A table's trip, each side alone; the sink is checked."""
    ferry, shipped, sink = ferry or Ferry(), lab.copy(source), lab.file("sink")
    topic = lab.topic(partitions, settings)
    produce = run(ferry.produce(lab, shipped, topic, 0))
    settle()
    landing = [Running(ferry.consume(lab, sink, topic, 0)) for _ in range(consumers)]
    consume = landing[0].wait()
    for other in landing[1:]:
        consume = consume.beside(other.wait())
    check_equal(source, sink)
    lab.drop(topic)
    lab.forget(shipped, sink)
    print(f"produce {produce.wall:.2f} s, consume {consume.wall:.2f} s", file=sys.stderr)
    return produce, consume


def trips(lab, args, source, **how):
    produces, consumes = zip(*(trip(lab, source, **how) for _ in range(args.rounds)), strict=True)
    return {"produce": costs(produces), "consume": costs(consumes)}


def floor(lab, args, report):
    """Reading and serialising, parsing and upserting, a plain copy within SQLite, and the broker's own tools."""
    source, tool = users(lab, args.rows), ["sh", PEERS / "connect.sh", "tool"]
    for _ in range(args.rounds):
        lines, sink, attached, topic = lab.file("lines"), lab.file("sink"), lab.file("copy"), lab.topic()
        perf = f"org.apache.kafka.tools.ProducerPerformance --topic {topic} --num-records {args.rows} --record-size 200 --throughput -1"
        sending = [*tool, *perf.split(), "--producer-props", f"bootstrap.servers={lab.brokers}", "acks=all"]
        perf = f"org.apache.kafka.tools.ConsumerPerformance --topic {topic} --messages {args.rows} --bootstrap-server {lab.brokers}"
        for name, command in {
            "read + serialise": [FLOOR, "produce", source, lines],
            "parse + upsert": [FLOOR, "consume", sink, lines],
            "ATTACH, INSERT SELECT": ["sqlite3", attached, f"ATTACH '{source}' AS s; {TABLE}; INSERT INTO users SELECT * FROM s.users"],
            "kafka-producer-perf-test": sending,
            "kafka-consumer-perf-test": [*tool, *perf.split()],
        }.items():
            report.lap("floor", name, args.rows, run(command))
        check_equal(source, sink)
        check_equal(source, attached)
        lab.drop(topic)
        lab.forget(lines, sink, attached)
    lab.forget(source)


def growth(lab, args, report):
    """The time a row takes as the table grows; the largest one makes a single trip."""
    result = {}
    for rows in (10_000, 100_000, 1_000_000, 10_000_000):
        once = copy.copy(args)
        once.rounds = args.rounds if rows < 10_000_000 else 1
        source = users(lab, rows)
        result[rows] = trips(lab, once, source)
        lab.forget(source)
    report.note("growth", result)


def shapes(lab, args, report):
    """Wide rows and blobs."""
    numbers = ", ".join(f"value * 7 + {i}" for i in range(49))
    result = {}
    for name, columns, values, rows in (
        ("50 columns, 100,000 rows", ", ".join(f"c{i}" for i in range(49)), numbers, 100_000),
        ("blobs of 100 KB, 2,000 rows", "picture BLOB", "randomblob(100000)", 2000),
    ):
        source = lab.file("shape")
        with closing(sqlite3.connect(source)) as connection, connection:
            connection.execute(f"CREATE TABLE users(id INTEGER PRIMARY KEY, {columns})")
            series = f"WITH series(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM series WHERE value < {rows})"
            connection.execute(f"{series} INSERT INTO users SELECT value, {values} FROM series")
        result[name] = trips(lab, args, source)
        lab.forget(source)
    report.note("shapes", result)


def topics(lab, args, report):
    """1, 3 and 12 partitions."""
    source = users(lab, args.rows)
    report.note("topics", {f"{count} partitions": trips(lab, args, source, partitions=count) for count in (1, 3, 12)})
    lab.forget(source)


def compression(lab, args, report):
    """None, snappy and gzip: as brokers keep them, and in the old format, which spares the broker the repacking for an old client."""
    source, result = users(lab, args.rows), {}
    for codec in ("none", "snappy", "gzip"):
        ferry = Ferry(codec=codec)
        result[codec] = trips(lab, args, source, ferry=ferry)
        old = {"message.format.version": "0.9.0"}
        result[f"{codec}, message.format.version=0.9.0"] = trips(lab, args, source, ferry=ferry, settings=old)
    lab.forget(source)
    report.note("compression", result)


def consumers(lab, args, report):
    """One and three consumers of a group, which share a sink."""
    source = users(lab, args.rows)
    report.note("consumers", {f"{count} consumers": trips(lab, args, source, consumers=count) for count in (1, 3)})
    lab.forget(source)
