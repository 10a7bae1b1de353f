"""The results: one table to read, JSON to keep, and a chart."""

import json
import os
import platform
import subprocess
from datetime import date
from html import escape
from importlib.metadata import version

import bars
from lab import cell, spread

OURS = "rowferry"


class Report:
    def __init__(self, rounds, kafka):
        self.rounds = rounds
        self.kafka = kafka  # the versions
        self.laps = {}  # (phase, Kafka's version, contender, codec, rows) -> costs
        self.others = {}  # part -> whatever it measured

    def lap(self, phase, contender, rows, cost, kafka="", codec=""):
        self.laps.setdefault((phase, kafka, contender, codec, rows), []).append(cost)

    def of(self, phase, lane):
        """What a lane took a row in each round; nothing when it did not run."""
        for (its_phase, kafka, who, codec, rows), costs in self.laps.items():
            if (its_phase, kafka, who, codec) == (phase, lane.kafka, lane.who, lane.codec):
                return [{what: getattr(cost, what) / rows for what in ("wall", "cpu", "broker_cpu")} for cost in costs]
        return []

    def peaks(self):
        """The peak of this project's larger side in every lap."""
        return [cost.peak_mib for (_, _, who, _, _), costs in self.laps.items() if who.startswith(OURS) for cost in costs]

    def note(self, part, result):
        self.others[part] = result
        print(f"{part}: {json.dumps(result, indent=1)}", flush=True)

    def rows(self):
        """The table's lines: each contender in each phase, beside the first one on the same Kafka."""
        first = {}
        for (phase, kafka, name, codec, rows), costs in sorted(self.laps.items(), key=lambda lap: PHASES.index(lap[0][0])):
            wall = spread([cost.wall for cost in costs])
            per_row = wall["median"] / rows
            yield {
                "phase": phase,
                "kafka": kafka,
                "contender": name,
                "codec": codec,
                "rows": rows,
                "wall": wall,
                "rows_per_s": 1 / per_row,
                "cpu": spread([cost.cpu for cost in costs]),
                "broker_cpu": spread([cost.broker_cpu for cost in costs]) if kafka else None,
                "peak_mib": max(cost.peak_mib for cost in costs),
                # Per row, since not all take as many.
                "ratio": per_row / first.setdefault((phase, kafka), per_row) if kafka else None,
            }

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        rows = list(self.rows())
        table = "\n\n".join([self.table(rows), bars.table(self)])
        if rows:
            print(table)
        judged = list(bars.judged(self))
        results = {"machine": machine(self.kafka), "rounds": self.rounds, "race": rows, "bars": judged, **self.others}
        (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (folder / "table.md").write_text(table + "\n")
        if rows:
            (folder / "chart.svg").write_text(chart(rows, machine(self.kafka)))

    def table(self, rows):
        lines = [
            "| phase | Kafka | who | codec | rows | wall s, median (range) | rows/s | CPU s | broker's CPU s | peak MiB | wall a row, beside the first |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in rows:
            wall, ratio = row["wall"], row["ratio"]
            broker = f"{row['broker_cpu']['median']:.2f}" if row["broker_cpu"] else ""
            lines.append(
                f"| {row['phase']} | {row['kafka']} | {cell(row['contender'])} | {row['codec']} | {row['rows']:,} "
                f"| {wall['median']:.2f} ({wall['min']:.2f} to {wall['max']:.2f}) | {row['rows_per_s']:,.0f} | {row['cpu']['median']:.2f} "
                f"| {broker} | {row['peak_mib']:.0f} | {f'{ratio:.2f}' if ratio else ''} |"
            )
        return "\n".join(lines)


PHASES = ["produce", "consume", "both", "floor"]


def said(*command):
    """The first line that a program prints."""
    ran = subprocess.run(command, capture_output=True, text=True)
    return (ran.stdout + ran.stderr).split("\n")[0].strip()


def machine(kafka):
    """What was measured, and on what."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": date.today().isoformat(),
        "cores": os.cpu_count(),
        "cpu": cpu,
        "memory_gib": round(memory),
        "system": platform.platform(),
        "kafka": kafka,
        "rowferry": said("git", "describe", "--always", "--dirty"),
        "rustc": said("rustc", "--version"),
        "kcat": said("sh", "-c", "kcat -V | sed -n 's/^Version //p'"),
        "sqlite3": said("sqlite3", "--version").split(" ")[0],
        "python": platform.python_version(),
        "java": said("java", "-version"),
        "confluent-kafka": version("confluent-kafka"),
        "kafka-python": version("kafka-python"),
        "orjson": version("orjson"),
    }


def chart(rows, info):
    """Rows a second as bars, a group for each phase; what is compressed is left to the table."""
    rows = [row for row in rows if row["phase"] in ("produce", "consume", "both") and row["codec"] == "none"]
    titles = {"produce": "produce", "consume": "consume", "both": "both at once"}
    most = max((row["rows_per_s"] for row in rows), default=1)
    left, width, bar, y, parts = 200, 430, 18, 34, []
    for phase, title in titles.items():
        parts.append(f'<text x="12" y="{y + 12}" class="phase">{title}</text>')
        y += 20
        for row in (row for row in rows if row["phase"] == phase):
            long = max(1, width * row["rows_per_s"] / most)
            kind = "ours" if row["contender"].startswith(OURS) else "peer"
            who = escape(f"{row['contender']}, {row['kafka']}")
            parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{who}</text>')
            parts.append(f'<rect x="{left}" y="{y}" width="{long:.1f}" height="{bar - 3}" class="{kind}"/>')
            parts.append(f'<text x="{left + long + 6:.1f}" y="{y + 13}">{row["rows_per_s"]:,.0f}</text>')
            y += bar
        y += 12
    about = f"{info['date']}, Kafka {' and '.join(info['kafka'])}, {info['cores']} cores ({info['cpu']}), median of the rounds"
    style = (
        "text{font:12px sans-serif;fill:#333}.phase{font-weight:bold}.ours{fill:#c2410c}.peer{fill:#94a3b8}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{y + 24}" viewBox="0 0 720 {y + 24}"><style>{style}</style>'
        f'<text x="12" y="20" class="phase">Rows a second, rowferry with every guarantee on</text>{"".join(parts)}'
        f'<text x="12" y="{y + 12}">{escape(about)}</text></svg>\n'
    )
