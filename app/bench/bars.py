"""What must hold, each a figure of one run: mostly how two contenders compare, round by round."""

from dataclasses import dataclass

from contenders import KAFKA, KCAT, NATIVE
from lab import cell, spread


@dataclass
class Lane:
    """Who, on which Kafka, with which codec."""

    who: str
    kafka: str
    codec: str = "none"


@dataclass
class Ratio:
    """What one contender took of something in a phase, beside another one; per row. The median of the rounds counts."""

    what: str
    phase: str
    ours: Lane
    other: Lane

    def figures(self, report):
        pairs = zip(report.of(self.phase, self.ours), report.of(self.phase, self.other), strict=False)
        return [mine[self.what] / theirs[self.what] for mine, theirs in pairs if theirs[self.what]]


@dataclass
class Latency:
    """One figure of --follow."""

    pick: str
    ours: Lane

    def figures(self, report):
        measured = report.others.get("latency", {}).get(f"{self.ours.who}, Kafka {self.ours.kafka}")
        return [measured[self.pick]] if measured else []


@dataclass
class Peak:
    """The most memory that a side of this project took, whatever it did."""

    def figures(self, report):
        return report.peaks()


def bars(old, new):
    """Each bar's name, the most that it allows (none is only shown), and its figure. Old and new are versions of Kafka."""
    crate, native, newest, kcat = Lane(KAFKA, old), Lane(NATIVE, old), Lane(NATIVE, new), Lane(KCAT, new)

    def both(what, ours, other):
        return Ratio(what, "both", ours, other)

    def consume(codec):
        return Ratio("wall", "consume", Lane(NATIVE, old, codec), Lane(KAFKA, old, codec))

    return [
        (f"broker's CPU, both at once, none, {old}: native / kafka", 0.55, both("broker_cpu", native, crate)),
        (f"our CPU, both at once, none, {old}: native / kafka", 1.0, both("cpu", native, crate)),
        (f"wall, both at once, none, {old}: native / kafka", 0.9, both("wall", native, crate)),
        (f"wall, consume, snappy, {old}: native / kafka", 0.6, consume("snappy")),
        (f"wall, consume, gzip, {old}: native / kafka", 0.2, consume("gzip")),
        (f"wall, both at once, none, {new}: native / {KCAT}", 0.4, both("wall", newest, kcat)),
        (f"client's CPU, both at once, none, {new}: native / {KCAT}", 0.4, both("cpu", newest, kcat)),
        (f"broker's CPU, both at once, none, {new}: native / {KCAT}", None, both("broker_cpu", newest, kcat)),
        (f"wall, both at once, {new}, native: zstd / none", 1.15, both("wall", Lane(NATIVE, new, "zstd"), newest)),
        *(
            (f"latency in --follow, {pick[:3]}, ms, {lane.kafka}, native", most, Latency(pick, lane))
            for lane in (native, newest)
            for pick, most in (("p50_ms", 4), ("p99_ms", 12))
        ),
        ("peak memory a side, MiB", 64, Peak()),
    ]


def judged(report):
    """Each bar that was measured, with its figure: the median for what a round tells, the largest for memory."""
    for name, most, figure in bars(*report.kafka):
        if figures := figure.figures(report):
            wide = spread(figures)
            counts = wide["max"] if isinstance(figure, Peak) else wide["median"]
            verdict = "" if most is None else "met" if counts <= most else "not met"
            yield {"bar": name, "at_most": most, "figure": counts, "range": wide, "verdict": verdict}


def table(report):
    lines = ["| bar | at most | measured (range) | |", "|---|---|---|---|"]
    for bar in judged(report):
        most = "shown" if bar["at_most"] is None else f"{bar['at_most']:g}"
        wide = bar["range"]
        lines.append(f"| {cell(bar['bar'])} | {most} | {bar['figure']:.2f} ({wide['min']:.2f} to {wide['max']:.2f}) | {bar['verdict']} |")
    return "\n".join(lines)
