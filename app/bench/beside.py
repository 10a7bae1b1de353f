"""What a program that writes into the source feels of a producer that follows: commits that fail because the database is locked."""

import sqlite3
import time
from contextlib import closing

from contenders import Ferry
from following import INSERT, OLD_ROWS, ask
from lab import Failed, Running, users, wait_until

JOURNAL_MODES = ("DELETE", "TRUNCATE", "WAL")
PAUSES = {"10 ms between two": 0.01, "1 ms between two": 0.001}
WRITES_S = 10
SHIPPED = "SELECT count(*) FROM _rowferry_tracked WHERE NOT pending"


def writers(lab, _args, report):
    """One row a transaction, without a busy timeout, by another program: in each journal mode, at two paces."""
    report.note("writers", {f"{mode}, {name}": beside(lab, mode, pause) for mode in JOURNAL_MODES for name, pause in PAUSES.items()})


def beside(lab, mode, pause):
    """How many commits were tried beside the producer, and how many of them failed."""
    source, topic = users(lab, OLD_ROWS), lab.topic()
    with closing(sqlite3.connect(source, isolation_level=None, timeout=0)) as writer:
        writer.execute(f"PRAGMA journal_mode={mode}")
    producer = Running(Ferry(produce_options=["--follow"]).produce(lab, source, topic, 0))
    try:
        wait_until(lambda: tracked(source), "the first rows are shipped", 60, 0.1)
        time.sleep(2)
        before = producer.cpu()
        commits, locked = write_steadily(source, pause)
        cpu = producer.cpu() - before
        producer.stop()
    finally:
        producer.kill()
        lab.drop(topic)
    if ask(source, "SELECT count(*) FROM users") != OLD_ROWS + commits - locked:
        raise Failed(f"{mode}: not just those commits failed that said so")
    lab.forget(source)
    return {"commits": commits, "locked": locked, "percent": locked / commits * 100, "producer_cpu_percent": cpu / WRITES_S * 100}


def tracked(source):
    there = ask(source, "SELECT count(*) FROM sqlite_schema WHERE name = '_rowferry_tracked'")
    return there and ask(source, SHIPPED)


def write_steadily(source, pause):
    """Tries one commit after the other, each once."""
    commits, locked, began = 0, 0, time.perf_counter()
    with closing(sqlite3.connect(source, isolation_level=None, timeout=0)) as writer:
        while time.perf_counter() < began + WRITES_S:
            time.sleep(pause)
            commits += 1
            try:
                writer.execute(INSERT)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname.split("_")[:2] != ["SQLITE", "BUSY"]:
                    raise
                locked += 1
    return commits, locked
