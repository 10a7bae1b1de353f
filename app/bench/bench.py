"""This project beside its peers: runs every phase in several interleaved rounds, checks every sink, and reports."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import beside
import following
import scenarios
from cluster import Cluster
from contenders import Ferry, Peer, kcat, peers
from lab import PEERS, Failed, Lab, Running, check_equal, run, users
from report import Report

RACES = ("main", "clients")
PARTS = {
    "floor": scenarios.floor,
    "start": following.start,
    "updates": following.updates,
    "writers": beside.writers,
    "growth": scenarios.growth,
    "shapes": scenarios.shapes,
    "topics": scenarios.topics,
    "compression": scenarios.compression,
    "consumers": scenarios.consumers,
}
EVERYTHING = ["main", "latency", *PARTS]

OLD_CODECS = ("none", "snappy", "gzip")
NEW_CODECS = ("none", "lz4", "zstd")

# What is packed with gzip goes slowly: enough rows to see how slowly.
GZIP_ROWS = 300_000


def options():
    parser = argparse.ArgumentParser(prog="sh app/bench/run.sh", description=__doc__)
    parser.add_argument("clusters", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=1_000_000, help="users in the table (1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is run (5)")
    parser.add_argument("--peers", default="all", help="who runs beside this project: words of their names, with commas between, or none")
    parser.add_argument(
        "--only", default=",".join(EVERYTHING), help="the parts to run (%(default)s); or clients: both clients, and all their bars, soon"
    )
    parser.add_argument("--out", type=Path, default=Path("app/bench/results"), help="folder for the results (%(default)s)")
    return parser.parse_args()


@dataclass
class Lane:
    """Who takes part on which cluster."""

    lab: Lab
    contender: Ferry | Peer
    rows: int

    def __str__(self):
        return f"Kafka {self.lab.cluster.version}, {self.contender.name}, {self.contender.codec}"


def lanes(old, new, old_peers, rows):
    """Both clients on the old Kafka, beside the peers; ours on the new one, beside kcat. The first of each cluster is our default."""
    clients = [Ferry(client, codec, most=GZIP_ROWS if codec == "gzip" else None) for codec in OLD_CODECS for client in ("kafka", "native")]
    both = [(old, one) for one in [*clients, *old_peers]] + [(new, one) for one in [*(Ferry("native", codec) for codec in NEW_CODECS), kcat()]]
    return [Lane(lab, one, min(rows, one.most or rows)) for lab, one in both]


def race(lanes, rounds, report):
    """All phases of all contenders, in turn and back again, so that a slow moment of the machine strikes them alike."""
    sources = {rows: users(lanes[0].lab, rows) for rows in {lane.rows for lane in lanes}}
    ours = [lane for lane in lanes if isinstance(lane.contender, Ferry) and lane.contender.codec == "none"]
    for lane in ours * 2:  # whoever comes first would meet a broker that is still cold
        list(laps(lane, sources[lane.rows]))
    for number in range(rounds):
        for lane in lanes[:: -1 if number % 2 else 1]:
            for phase, cost in laps(lane, sources[lane.rows]):
                report.lap(phase, lane.contender.name, lane.rows, cost, lane.lab.cluster.version, lane.contender.codec)
                took = f"{cost.wall:.2f} s, {cost.cpu:.2f} s CPU, the broker's {cost.broker_cpu:.2f} s"
                print(f"round {number + 1}: {lane}, {phase}: {took}", file=sys.stderr)
    lanes[0].lab.forget(*sources.values())


def laps(lane, source):
    """One contender's three phases. What was shipped alone is then landed alone."""
    lab, contender, count = lane.lab, lane.contender, lane.rows
    shipped = [lab.copy(source) for _ in range(2)]
    sinks, topics = [lab.file("sink") for _ in range(2)], [lab.topic() for _ in range(2)]
    yield "produce", lab.measure(lambda: Running(contender.produce(lab, shipped[0], topics[0], count)).wait())
    landed = sum(lab.ends(topics[0]).values())
    if landed < count:
        raise Failed(f"{lane}: {landed} records of {count} were shipped")
    yield "consume", lab.measure(lambda: Running(contender.consume(lab, sinks[0], topics[0], count)).wait())
    check_equal(source, sinks[0])
    yield "both", lab.measure(lambda: contender.both(lab, shipped[1], sinks[1], topics[1], count))
    check_equal(source, sinks[1])
    lab.drop(*topics)
    lab.forget(*shipped, *sinks)


def latencies(old, new, idle_s):
    """Of both clients on the old Kafka, and of ours on the new one."""
    ways = [(old, "kafka"), (old, "native"), (new, "native")]
    return {f"rowferry, {client}, Kafka {lab.cluster.version}": following.latency(lab, client, idle_s) for lab, client in ways}


def main():
    args = options()
    parts = args.only.split(",")
    known = [*RACES, "latency", *PARTS]
    if unknown := set(parts) - set(known):
        raise Failed(f"--only: there is no part {', '.join(unknown)}; there are {', '.join(known)}")
    words = args.peers.split(",")
    chosen = [peer for peer in peers() if args.peers == "all" or any(word in peer.name for word in words)]
    if {"main", "floor"} & set(parts):
        run(["sh", PEERS / "connect.sh", "prepare"])
    old, new = (Lab(Cluster(folder)) for folder in args.clusters)
    report = Report(args.rounds, [old.cluster.version, new.cluster.version])
    if set(RACES) & set(parts):
        race(lanes(old, new, chosen if "main" in parts else [], args.rows), args.rounds, report)
    if "latency" in parts or "clients" in parts:
        report.note("latency", latencies(old, new, following.IDLE_S if "latency" in parts else 0))
    for part in parts:
        if measure := PARTS.get(part):
            measure(old, args, report)
    report.write(args.out)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"bench: {failed}")
