"""What is measured beside the race: the floor, latency, start, growth, shapes of rows and topics, compression, more consumers."""

import sqlite3
import subprocess
import sys
import time

from contenders import RELEASE, Ferry, Peer, positions, peers
from lab import TOP, Running, check_equal, run, spread, wait_until

FLOOR = RELEASE / "examples/floor"
OLD_ROWS = 1000  # that are there before latency is measured


def users(lab, rows, seed=1):
    """A source of so many users: the same for the same seed."""
    source = lab.file("users")
    run([FLOOR, "users", source, rows, seed])
    return source


def say(text):
    print(text, file=sys.stderr, flush=True)


def costs(runs):
    """Median costs of several runs."""
    return {
        "wall": spread([cost.wall for cost in runs]),
        "cpu": spread([cost.cpu for cost in runs]),
        "peak_mib": max(cost.peak_mib for cost in runs),
    }


def alone(lab, source, rows, ferry=None, table="users", partitions=None, settings=None):
    """One trip of a table, each side alone; the sink is checked."""
    ferry, shipped, sink = ferry or Ferry(), lab.copy(source), lab.file("sink")
    topic = lab.topic(partitions, settings)
    produce = run(ferry.produce(lab, shipped, topic, rows, table))
    consume = run(ferry.consume(lab, sink, topic, rows))
    check_equal(source, sink, table)
    size = sink.stat().st_size
    lab.drop(topic)
    lab.forget(shipped, sink)
    say(f"{table}, {rows} rows: produce {produce.wall:.2f} s, consume {consume.wall:.2f} s")
    return produce, consume


def trips(lab, args, source, rows, **how):
    both = [alone(lab, source, rows, **how) for _ in range(args.rounds)]
    return {side: costs([trip[at] for trip in both]) for at, side in enumerate(("produce", "consume"))}


def floor(lab, args, report):
    """Reading and serialising, parsing and upserting, a plain copy within SQLite, and the broker's own tools."""
    source = users(lab, args.rows)
    for _ in range(args.rounds):
        lines, sink, copy = lab.file("lines"), lab.file("sink"), lab.file("copy")
        report.lap("floor", "read + serialise", args.rows, run([FLOOR, "produce", source, lines]))
        report.lap("floor", "parse + upsert", args.rows, run([FLOOR, "consume", sink, lines]))
        check_equal(source, sink)
        attach = f"ATTACH '{source}' AS source; CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, age INTEGER, balance REAL, created_at TEXT); INSERT INTO users SELECT * FROM source.users"
        report.lap("floor", "ATTACH, INSERT SELECT", args.rows, run(["sqlite3", copy, attach]))
        check_equal(source, copy)
        topic, tool = lab.topic(), ["sh", TOP / "app/bench/peers/connect.sh", "tool"]
        produce = ["org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", args.rows, "--record-size", 200, "--throughput", -1]
        report.lap("floor", "kafka-producer-perf-test", args.rows, run([*tool, *produce, "--producer-props", f"bootstrap.servers={lab.brokers}", "acks=all"]))
        consume = ["org.apache.kafka.tools.ConsumerPerformance", "--topic", topic, "--messages", args.rows, "--bootstrap-server", lab.brokers]
        report.lap("floor", "kafka-consumer-perf-test", args.rows, run([*tool, *consume]))
        lab.drop(topic)
        lab.forget(lines, sink, copy)
    lab.forget(source)


def latency(lab, args, report):
    """From the insert's commit in the source to the row's being seen in the sink: 2,000 rows at 100 a second."""
    source, sink, topic = users(lab, OLD_ROWS), lab.file("sink"), lab.topic()
    watcher, ferry = None, Ferry(produce_options=["--follow"])
    consumer = Running(ferry.consume(lab, sink, topic, 0, ()))
    producer = Running(ferry.produce(lab, source, topic, 0))
    try:
        wait_until(lambda: sink.exists() and count(sink) == OLD_ROWS, "the first rows have landed", 60, 0.1)
        time.sleep(2)
        before = producer.cpu(), consumer.cpu()
        time.sleep(20)
        idle = [round((after - then) / 20 * 100, 2) for after, then in zip((producer.cpu(), consumer.cpu()), before)]
        watcher = subprocess.Popen([sys.executable, __file__, "watch", str(sink), "2000"], stdout=subprocess.PIPE, text=True)
        writer, committed = sqlite3.connect(source, isolation_level=None, timeout=10), {}
        began = time.perf_counter()
        for number in range(2000):
            time.sleep(max(0, began + number / 100 - time.perf_counter()))
            row = writer.execute("INSERT INTO users(name, email, city, age, balance, created_at) VALUES ('Ann', 'ann@example.com', 'Ulm', 40, 1.5, '2026-01-01')")
            committed[row.lastrowid] = time.monotonic()
        seen = dict(line.split() for line in watcher.communicate(timeout=120)[0].splitlines())
        took = sorted((float(seen[str(row)]) - at) * 1000 for row, at in committed.items())
        check_equal(source, sink)
    finally:
        producer.kill()
        consumer.kill()
        if watcher:
            watcher.kill()
    pick = lambda part: round(took[min(len(took) - 1, int(len(took) * part))], 2)
    report.note("latency", {"rows": len(took), "p50_ms": pick(0.5), "p99_ms": pick(0.99), "max_ms": pick(1), "idle_cpu_percent": dict(zip(("producer", "consumer"), idle))})
    lab.drop(topic)


def count(database):
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'users'").fetchone()[0] and connection.execute("SELECT count(*) FROM users").fetchone()[0]
    finally:
        connection.close()


def watch(database, rows):
    """Prints when each new row was first seen, looking every millisecond."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    seen, oldest = {}, OLD_ROWS
    while len(seen) < rows:
        for (row,) in connection.execute("SELECT id FROM users WHERE id > ?", (oldest,)):
            seen.setdefault(row, time.monotonic())
        while oldest + 1 in seen:
            oldest += 1
        time.sleep(0.001)
    for row, at in seen.items():
        print(row, at)


def start(lab, args, report):
    """One new row, from the program's start to its end, beside kcat sending one record."""
    source, topic, ours, theirs = users(lab, 1000), lab.topic(), [], []
    ferry = Ferry()
    run(ferry.produce(lab, source, topic, 0))
    for number in range(20):
        connection = sqlite3.connect(source)
        connection.execute("INSERT INTO users(name) VALUES ('one more')")
        connection.commit()
        connection.close()
        ends = sum(lab.ends(topic).values())
        ours.append(run(ferry.produce(lab, source, topic, 0)))
        if sum(lab.ends(topic).values()) <= ends:
            raise SystemExit("the row was not shipped")
        theirs.append(run(["sh", "-c", f"echo {number} | kcat -P -b {lab.brokers} -t {topic}-kcat -X acks=all -X linger.ms=0"]))
    report.note("start", {"rowferry": costs(ours), "kcat": costs(theirs)})
    lab.drop(topic, f"{topic}-kcat")
    lab.forget(source)


def growth(lab, args, report):
    """The time a row takes as the table grows."""
    result = {}
    for rows in (10_000, 100_000, 1_000_000, 10_000_000):
        source = users(lab, rows)
        rounds = args.rounds if rows < 10_000_000 else 1
        result[rows] = trips(lab, with_rounds(args, rounds), source, rows)
        lab.forget(source)
    report.note("growth", result)


def with_rounds(args, rounds):
    copy = type(args)(**vars(args))
    copy.rounds = rounds
    return copy


def shapes(lab, args, report):
    """Wide rows, blobs, and a table that is updated all the time."""
    result = {}
    wide = lab.file("wide")
    columns = [f"c{i}" for i in range(49)]
    make(wide, f"CREATE TABLE users(id INTEGER PRIMARY KEY, {', '.join(columns)})", f"INSERT INTO users SELECT value, {', '.join(['value * 7 + ' + str(i) for i in range(49)])} FROM generate_series(1, 100000)")
    result["50 columns, 100,000 rows"] = trips(lab, args, wide, 100_000)
    blobs = lab.file("blobs")
    make(blobs, "CREATE TABLE users(id INTEGER PRIMARY KEY, picture BLOB)", "INSERT INTO users SELECT value, randomblob(100000) FROM generate_series(1, 2000)")
    result["blobs of 100 KB, 2,000 rows"] = trips(lab, args, blobs, 2000)
    result["under constant update, 200,000 rows"] = updated(lab, args)
    lab.forget(wide, blobs)
    report.note("shapes", result)


def make(database, *statements):
    connection = sqlite3.connect(database)
    for statement in statements:
        series = "WITH RECURSIVE series(value) AS (SELECT {} UNION ALL SELECT value + 1 FROM series WHERE value < {}) "
        if "generate_series" in statement:
            head, _, tail = statement.partition("generate_series(")
            first, last = tail.rstrip(")").split(", ")
            statement = series.format(first, last) + head + "series"
        connection.execute(statement)
    connection.commit()
    connection.close()


def updated(lab, args):
    """A writer updates rows, 100 a transaction, while both sides follow; then all of it lands."""
    source, sink, topic = users(lab, 200_000), lab.file("sink"), lab.topic()
    ferry = Ferry(produce_options=["--follow"])
    consumer = Running(ferry.consume(lab, sink, topic, 0, ()))
    producer = Running(ferry.produce(lab, source, topic, 0))
    try:
        writer, changed, began = sqlite3.connect(source, isolation_level=None, timeout=10), 0, time.perf_counter()
        while time.perf_counter() - began < 20:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE users SET balance = balance + 1 WHERE id IN (SELECT abs(random()) % 200000 + 1 FROM users LIMIT 100)")
            writer.execute("COMMIT")
            changed += 100
        wrote = time.perf_counter() - began
        outbox = "SELECT count(*) FROM _rowferry_outbox"
        stopped = time.perf_counter()
        last = writer.execute("SELECT total(balance) FROM users").fetchone()[0]
        wait_until(lambda: landed_total(sink) == last, "everything has landed", 120, 0.02)
        behind = time.perf_counter() - stopped
        check_equal(source, sink)
    finally:
        producer.kill()
        consumer.kill()
        lab.drop(topic)
    return {"updates_per_s": round(changed / wrote), "seconds_until_equal_after_the_last": round(behind, 2)}


def landed_total(sink):
    connection = sqlite3.connect(f"file:{sink}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute("SELECT total(balance) FROM users").fetchone()[0]
    finally:
        connection.close()


def topics(lab, args, report):
    """1, 3 and 12 partitions."""
    source = users(lab, args.rows)
    result = {f"{partitions} partitions": trips(lab, args, source, args.rows, partitions=partitions) for partitions in (1, 3, 12)}
    lab.forget(source)
    report.note("topics", result)


def compression(lab, args, report):
    """None, snappy and gzip: as brokers keep them, and in the old format, which spares the broker the repacking for an old client."""
    source, result = users(lab, args.rows), {}
    for codec in ("none", "snappy", "gzip"):
        ferry = Ferry(["--compression", codec])
        result[codec] = trips(lab, args, source, args.rows, ferry=ferry)
        old = {"message.format.version": "0.9.0"}
        result[f"{codec}, message.format.version=0.9.0"] = trips(lab, args, source, args.rows, ferry=ferry, settings=old)
    lab.forget(source)
    report.note("compression", result)


def consumers(lab, args, report):
    """One and three consumers of a group, which share a sink."""
    source, result = users(lab, args.rows), {}
    for many in (1, 3):
        runs = []
        for _ in range(args.rounds):
            shipped, sink, topic, ferry = lab.copy(source), lab.file("sink"), lab.topic(), Ferry()
            run(ferry.produce(lab, shipped, topic, args.rows))
            landing = [Running(ferry.consume(lab, sink, topic, args.rows)) for _ in range(many)]
            cost = landing[0].wait()
            for other in landing[1:]:
                cost = cost.beside(other.wait())
            check_equal(source, sink)
            runs.append(cost)
            lab.drop(topic)
            lab.forget(shipped, sink)
        result[f"{many} consumers"] = costs(runs)
    lab.forget(source)
    report.note("consumers", result)


if __name__ == "__main__":
    watch(sys.argv[2], int(sys.argv[3]))
