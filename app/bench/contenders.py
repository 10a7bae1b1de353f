"""Who takes part: this project and its peers, each as the commands that ship and land a table."""

import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace

from lab import PEERS, RELEASE, Running, wait_until


KAFKA, NATIVE = "rowferry, kafka", "rowferry, native"
KCAT = "sqlite3 | kcat"


class Ferry:
    """This project, as a user runs it: every guarantee on. `client` is its way to speak to Kafka."""

    def __init__(self, client="auto", codec="none", produce_options=(), most=None):
        self.name = f"rowferry, {client}"
        self.client, self.codec, self.most = ["--client", client], codec, most
        self.produce_options = [*self.client, "--compression", codec, *produce_options]

    def produce(self, lab, source, topic, _count):
        names = ["--brokers", lab.brokers, "--source", source, "--topic", topic]
        return [RELEASE / "producer", *names, "--quiet", *self.produce_options]

    def consume(self, lab, sink, topic, _count, options=("--until-caught-up",)):
        names = ["--brokers", lab.brokers, "--sink", sink, "--topic", topic, "--group", topic]
        return [RELEASE / "consumer", *names, "--quiet", *self.client, *options]

    def both(self, lab, source, sink, topic, count):
        """The consumer follows; the sink's positions tell when everything has landed."""
        consumer = Running(self.consume(lab, sink, topic, count, ()))
        producer = Running(self.produce(lab, source, topic, count))
        try:
            cost = producer.wait()
            ends = lab.ends(topic)
            wait_until(lambda: positions(sink, topic) == ends, "everything has landed", pause=0.01)
            wall = time.perf_counter() - consumer.began
            cost = cost.beside(consumer.stop())
            return replace(cost, wall=wall)
        finally:
            producer.kill()
            consumer.kill()


class Peer:
    """A script in peers/: `produce SOURCE BROKERS TOPIC COUNT`, and the same for `consume`."""

    codec = "none"

    def __init__(self, name, command, most=None):
        self.name, self.command, self.most = name, command, most

    def produce(self, lab, source, topic, count):
        return [*self.command, "produce", source, lab.brokers, topic, count]

    def consume(self, lab, sink, topic, count):
        return [*self.command, "consume", sink, lab.brokers, topic, count]

    def both(self, lab, source, sink, topic, count):
        consumer = Running(self.consume(lab, sink, topic, count))
        producer = Running(self.produce(lab, source, topic, count))
        try:
            return producer.wait().beside(consumer.wait())
        finally:
            producer.kill()
            consumer.kill()


def positions(sink, topic):
    """How far each partition has landed."""
    with closing(sqlite3.connect(f"file:{sink}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT partition, next_offset FROM _rowferry_positions WHERE topic = ?", (topic,))
        return dict(rows.fetchall())


def kcat():
    return Peer(KCAT, ["sh", PEERS / "kcat.sh"])


def peers():
    return [
        kcat(),
        Peer("librdkafka, Python", [sys.executable, PEERS / "librdkafka.py"]),
        Peer("Kafka Connect", ["sh", PEERS / "connect.sh"]),
        Peer("tutorial", [sys.executable, PEERS / "tutorial.py"], most=20_000),
    ]
