"""What every measurement needs: programs that are timed, topics, databases, and the check of a sink."""

import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from cluster import cpu_of

TOP = Path(__file__).resolve().parents[2]
PEERS = TOP / "app/bench/peers"
RELEASE = TOP / "target/release"
FLOOR = RELEASE / "examples/floor"
LIMIT = 900  # seconds that one program may take


class Failed(Exception):
    """A program or a check failed: there is nothing to report."""


@dataclass
class Cost:
    """What a program and its children took, and the brokers meanwhile; the peak is that of the largest process."""

    wall: float
    cpu: float
    peak_mib: float
    broker_cpu: float | None = None

    def beside(self, other):
        return Cost(max(self.wall, other.wall), self.cpu + other.cpu, max(self.peak_mib, other.peak_mib))


class Running:
    """A program that has been started."""

    def __init__(self, command):
        self.command = [str(word) for word in command]
        self.output = tempfile.TemporaryFile()
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, cwd=TOP, start_new_session=True
        )

    def wait(self, limit=LIMIT):
        """Waits for its end and tells what it took."""
        ended, status, usage = 0, 0, None
        deadline = time.perf_counter() + limit
        while not ended:
            ended, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if not ended:
                if time.perf_counter() > deadline:
                    os.killpg(self.process.pid, signal.SIGKILL)
                    raise Failed(f"{self} did not end within {limit} s{self.said()}")
                time.sleep(0.002)
        wall = time.perf_counter() - self.began
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise Failed(f"{self} ended with code {self.process.returncode}{self.said()}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def stop(self):
        """Ends it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.wait(60)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def cpu(self):
        """CPU seconds so far, while it runs."""
        return cpu_of(self.process.pid)

    def said(self):
        self.output.seek(0)
        text = self.output.read().decode(errors="replace").strip()
        return f":\n{text[-2000:]}" if text else ""

    def __str__(self):
        return " ".join(self.command)


def settle():
    """Waits until all that was written is on disk: nobody pays for the writing of another."""
    os.sync()


def run(command):
    settle()
    return Running(command).wait()


def users(lab, rows, seed=1):
    """A source of so many users: the same for the same seed."""
    source = lab.file("users")
    run([FLOOR, "users", source, rows, seed])
    return source


def wait_until(done, what, limit=LIMIT, pause=0.005):
    deadline = time.perf_counter() + limit
    while not done():
        if time.perf_counter() > deadline:
            raise Failed(f"{what}: not within {limit} s")
        time.sleep(pause)


class Lab:
    """A cluster, and a folder for databases."""

    def __init__(self, cluster, partitions=3):
        self.cluster = cluster
        self.brokers = cluster.brokers
        self.partitions = partitions
        self.folder = Path(tempfile.mkdtemp())
        self.admin = AdminClient({"bootstrap.servers": self.brokers})
        self.count = 0

    def measure(self, work):
        """What some work cost, and the brokers with it."""
        settle()
        before = self.cluster.cpu()
        cost = work()
        return replace(cost, broker_cpu=self.cluster.cpu() - before)

    def topic(self, partitions=None, settings=None):
        self.count += 1
        name = f"bench-{os.getpid()}-{self.count}"
        new = NewTopic(name, partitions or self.partitions, 1, config=settings or {})
        self.admin.create_topics([new])[name].result(30)
        wait_until(lambda: self.is_made(name, new.num_partitions), f"topic {name} is made", 30, 0.1)
        return name

    def is_made(self, topic, partitions):
        """Whether all partitions tell where they end: none does before its leader knows that it leads."""
        try:
            return len(self.ends(topic)) == partitions
        except KafkaException:
            return False

    def drop(self, *topics):
        for done in self.admin.delete_topics(list(topics)).values():
            done.result(60)

    def ends(self, topic):
        """Where each partition's log ends."""
        reader = Consumer({"bootstrap.servers": self.brokers, "group.id": "bench-ends"})
        try:
            partitions = reader.list_topics(topic, 10).topics[topic].partitions
            return {p: reader.get_watermark_offsets(TopicPartition(topic, p), 10)[1] for p in partitions}
        finally:
            reader.close()

    def file(self, kind):
        self.count += 1
        return self.folder / f"{kind}-{self.count}.db"

    def copy(self, database):
        """A copy of a source, on which nothing has been done."""
        copy = self.file("source")
        shutil.copyfile(database, copy)
        return copy

    def forget(self, *databases):
        for database in databases:
            for end in ("", "-wal", "-shm", "-journal", "-turn"):
                Path(f"{database}{end}").unlink(missing_ok=True)


def check_equal(source, sink):
    """Fails unless the sink holds the source's rows, value by value and type by type."""
    both = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    both.execute("ATTACH ? AS sink", (f"file:{sink}?mode=ro",))
    columns = [row[1] for row in both.execute("PRAGMA main.table_info(users)")]
    same = " AND ".join(f"a.{c} IS b.{c} AND typeof(a.{c}) = typeof(b.{c})" for c in columns)
    counts = [both.execute(f"SELECT count(*) FROM {schema}.users").fetchone()[0] for schema in ("main", "sink")]
    equal = both.execute(f"SELECT count(*) FROM main.users a JOIN sink.users b USING (id) WHERE {same}").fetchone()[0]
    both.close()
    if counts != [equal, equal]:
        raise Failed(f"{sink}: {equal} rows are equal, the source has {counts[0]} and the sink {counts[1]}")


def spread(values):
    """Median and range."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def cell(text):
    """Text in a table of Markdown."""
    return text.replace("|", "\\|")


def costs(runs):
    """What several runs took."""
    return {
        "wall": spread([cost.wall for cost in runs]),
        "cpu": spread([cost.cpu for cost in runs]),
        "peak_mib": max(cost.peak_mib for cost in runs),
    }
