"""This project beside its peers: runs every phase in several interleaved rounds, checks every sink, and reports."""

import argparse
import sys
from pathlib import Path

import beside
import following
import scenarios
from contenders import Ferry, peers
from lab import Failed, Lab, check_equal, run, settle, users
from report import Report

PARTS = {
    "main": None,
    "floor": scenarios.floor,
    "latency": following.latency,
    "start": following.start,
    "updates": following.updates,
    "writers": beside.writers,
    "growth": scenarios.growth,
    "shapes": scenarios.shapes,
    "topics": scenarios.topics,
    "compression": scenarios.compression,
    "consumers": scenarios.consumers,
}


def options():
    parser = argparse.ArgumentParser(prog="sh app/bench/run.sh", description=__doc__)
    parser.add_argument("--brokers", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=1_000_000, help="users in the table (1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is run (5)")
    parser.add_argument("--peers", default="all", help="who runs beside this project: words of their names, with commas between, or none")
    parser.add_argument("--only", default=",".join(PARTS), help="the parts to run (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("app/bench/results"), help="folder for the results (%(default)s)")
    return parser.parse_args()


def race(lab, contenders, rows, rounds, report):
    """All phases of all contenders, in turn, so that a slow moment of the machine strikes them alike."""
    sources = {count: users(lab, count) for count in {min(rows, c.most or rows) for c in contenders}}
    for _ in range(2):  # whoever comes first would meet a broker that is still cold
        list(laps(lab, contenders[0], sources[rows], rows))
    for number in range(rounds):
        turn = number % len(contenders)
        for contender in contenders[turn:] + contenders[:turn]:
            count = min(rows, contender.most or rows)
            for phase, cost in laps(lab, contender, sources[count], count):
                report.lap(phase, contender.name, count, cost)
                print(f"round {number + 1}: {contender.name}, {phase}: {cost.wall:.2f} s, {cost.cpu:.2f} s CPU", file=sys.stderr)
    lab.forget(*sources.values())


def laps(lab, contender, source, count):
    """One contender's three phases. What was shipped alone is then landed alone."""
    shipped = [lab.copy(source) for _ in range(2)]
    sinks, topics = [lab.file("sink") for _ in range(2)], [lab.topic() for _ in range(2)]
    yield "produce", run(contender.produce(lab, shipped[0], topics[0], count))
    landed = sum(lab.ends(topics[0]).values())
    if landed < count:
        raise Failed(f"{contender.name} shipped {landed} records of {count}")
    yield "consume", run(contender.consume(lab, sinks[0], topics[0], count))
    check_equal(source, sinks[0])
    settle()
    yield "both", contender.both(lab, shipped[1], sinks[1], topics[1], count)
    check_equal(source, sinks[1])
    lab.drop(*topics)
    lab.forget(*shipped, *sinks)


def main():
    args = options()
    parts = args.only.split(",")
    if unknown := set(parts) - set(PARTS):
        raise Failed(f"--only: there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    words = args.peers.split(",")
    chosen = [peer for peer in peers() if args.peers == "all" or any(word in peer.name for word in words)]
    lab = Lab(args.brokers)
    report = Report(args)
    if "main" in parts:
        race(lab, [Ferry(), *chosen], args.rows, args.rounds, report)
    for part in parts:
        if measure := PARTS[part]:
            measure(lab, args, report)
    report.write(args.out)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"bench: {failed}")
