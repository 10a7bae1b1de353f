"""What is measured while both sides follow: latency, the start of a program, a table under constant update."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager

from contenders import Ferry
from lab import Failed, Running, check_equal, costs, run, users, wait_until

OLD_ROWS = 1000  # that are there before latency is measured
NEW_ROWS = 2000
ROWS_PER_S = 100
IDLE_S = 20
UPDATES_S = 20
INSERT = """INSERT INTO users(name, email, city, age, balance, created_at)
    VALUES ('Ann', 'ann@example.com', 'Ulm', 40, 1.5, '2026-01-01')"""


@contextmanager
def following(lab, source, sink, topic, client="auto"):
    """Both sides, while they follow."""
    ferry = Ferry(client, produce_options=["--follow"])
    consumer = Running(ferry.consume(lab, sink, topic, 0, ()))
    producer = Running(ferry.produce(lab, source, topic, 0))
    try:
        yield producer, consumer
    finally:
        producer.kill()
        consumer.kill()
        lab.drop(topic)
        lab.forget(source, sink)


def ask(database, query):
    """One value of a database that others write."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query).fetchone()[0]


def rows_in(sink):
    has_table = sink.exists() and ask(sink, "SELECT count(*) FROM sqlite_schema WHERE name = 'users'")
    return ask(sink, "SELECT count(*) FROM users") if has_table else 0


def latency(lab, client, idle_s=IDLE_S):
    """From the insert's commit in the source to the row's being seen in the sink; before that, what waiting costs."""
    source, sink, topic = users(lab, OLD_ROWS), lab.file("sink"), lab.topic()
    with following(lab, source, sink, topic, client) as both:
        wait_until(lambda: rows_in(sink) == OLD_ROWS, "the first rows have landed", 60, 0.1)
        time.sleep(2)
        idle = idle_cpu(both, idle_s) if idle_s else {}
        watcher = subprocess.Popen([sys.executable, __file__, sink], stdout=subprocess.PIPE, text=True)
        try:
            committed = insert_steadily(source)
            seen = dict(line.split() for line in watcher.communicate(timeout=60)[0].splitlines())
        finally:
            watcher.kill()
        check_equal(source, sink)
    took = sorted((float(seen[str(row)]) - at) * 1000 for row, at in committed.items())
    return {"rows": len(took), "p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100], "max_ms": took[-1], **idle}


def idle_cpu(both, idle_s):
    """Percent of a core that each side takes while there is nothing to do."""
    before = [side.cpu() for side in both]
    time.sleep(idle_s)
    idle = [(side.cpu() - then) / idle_s * 100 for side, then in zip(both, before, strict=True)]
    return {"idle_cpu_percent": dict(zip(("producer", "consumer"), idle, strict=True))}


def insert_steadily(source):
    """Inserts the new rows, and tells when each was committed."""
    committed, began = {}, time.perf_counter()
    with closing(sqlite3.connect(source, isolation_level=None, timeout=10)) as writer:
        for number in range(NEW_ROWS):
            time.sleep(max(0, began + number / ROWS_PER_S - time.perf_counter()))
            row = writer.execute(INSERT).lastrowid
            committed[row] = time.monotonic()
    return committed


def watch(sink):
    """Prints when each new row was first seen, looking every millisecond."""
    with closing(sqlite3.connect(f"file:{sink}?mode=ro", uri=True, timeout=10)) as connection:
        seen, whole = {}, OLD_ROWS
        while len(seen) < NEW_ROWS:
            for (row,) in connection.execute("SELECT id FROM users WHERE id > ?", (whole,)):
                seen.setdefault(row, time.monotonic())
            while whole + 1 in seen:
                whole += 1
            time.sleep(0.001)
    for row, at in seen.items():
        print(row, at)


def start(lab, _args, report):
    """One new row, from the program's start to its end, beside kcat sending one record."""
    source, topic, ours, theirs = users(lab, OLD_ROWS), lab.topic(), [], []
    ferry, kcat_topic = Ferry(), lab.topic()
    run(ferry.produce(lab, source, topic, 0))
    for number in range(20):
        with closing(sqlite3.connect(source, isolation_level=None)) as writer:
            writer.execute(INSERT)
        before = sum(lab.ends(topic).values())
        ours.append(run(ferry.produce(lab, source, topic, 0)))
        if sum(lab.ends(topic).values()) <= before:
            raise Failed("the new row was not shipped")
        theirs.append(run(["sh", "-c", f"echo {number} | kcat -P -b {lab.brokers} -t {kcat_topic} -X acks=all -X linger.ms=0"]))
    report.note("start", {"rowferry": costs(ours), "kcat": costs(theirs)})
    lab.drop(topic, kcat_topic)
    lab.forget(source)


def updates(lab, _args, report):
    """A writer updates rows, 100 a transaction, while both sides follow; then all of it lands."""
    source, sink, topic = users(lab, 200_000), lab.file("sink"), lab.topic()
    with following(lab, source, sink, topic):
        wait_until(lambda: rows_in(sink) == 200_000, "the first rows have landed", 60, 0.1)
        changed, began = 0, time.perf_counter()
        with closing(sqlite3.connect(source, timeout=10)) as writer:
            while time.perf_counter() - began < UPDATES_S:
                with writer:
                    some = "SELECT abs(random()) % 200000 + 1 FROM users LIMIT 100"
                    changed += writer.execute(f"UPDATE users SET balance = balance + 1 WHERE id IN ({some})").rowcount
        ended = time.perf_counter()
        due = ask(source, "SELECT total(balance) FROM users")
        wait_until(lambda: ask(sink, "SELECT total(balance) FROM users") == due, "everything has landed", 120, 0.02)
        behind = time.perf_counter() - ended
        check_equal(source, sink)
    report.note("updates", {"updates_per_s": changed / (ended - began), "seconds_until_equal_after_the_last": behind})


if __name__ == "__main__":
    watch(sys.argv[1])
