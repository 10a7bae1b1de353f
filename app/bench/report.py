"""The results: one table to read, JSON to keep, and a chart."""

import json
import os
import platform
import subprocess
from datetime import date
from html import escape
from importlib.metadata import version

from lab import spread

OURS = "rowferry"


class Report:
    def __init__(self, args):
        self.args = args
        self.laps = {}  # (phase, contender, rows) -> costs
        self.others = {}  # part -> whatever it measured

    def lap(self, phase, contender, rows, cost):
        self.laps.setdefault((phase, contender, rows), []).append(cost)

    def note(self, part, result):
        self.others[part] = result
        print(f"{part}: {json.dumps(result, indent=1)}", flush=True)

    def rows(self):
        """The table's lines: each contender in each phase, beside this project in that phase."""
        ours = {phase: spread([c.wall for c in costs])["median"] / rows for (phase, name, rows), costs in self.laps.items() if name == OURS}
        for (phase, name, rows), costs in sorted(self.laps.items(), key=lambda lap: PHASES.index(lap[0][0])):
            wall = spread([cost.wall for cost in costs])
            yield {
                "phase": phase,
                "contender": name,
                "rows": rows,
                "wall": wall,
                "rows_per_s": rows / wall["median"],
                "cpu": spread([cost.cpu for cost in costs]),
                "peak_mib": max(cost.peak_mib for cost in costs),
                # Per row, since not all contenders take as many.
                "ratio": wall["median"] / rows / ours[phase] if phase in ours else None,
            }

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        rows = list(self.rows())
        table = self.table(rows)
        if rows:
            print(table)
        results = {"machine": machine(), "rounds": self.args.rounds, "race": rows, **self.others}
        (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (folder / "table.md").write_text(table + "\n")
        if rows:
            (folder / "chart.svg").write_text(chart(rows))

    def table(self, rows):
        lines = [
            "| phase | who | rows | wall s, median (range) | rows/s | CPU s | peak MiB | wall per row, ours = 1 |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in rows:
            wall, ratio = row["wall"], row["ratio"]
            lines.append(
                f"| {row['phase']} | {row['contender']} | {row['rows']:,} | {wall['median']:.2f} ({wall['min']:.2f} to {wall['max']:.2f}) "
                f"| {row['rows_per_s']:,.0f} | {row['cpu']['median']:.2f} | {row['peak_mib']:.0f} | {f'{ratio:.2f}' if ratio else ''} |"
            )
        return "\n".join(lines)


PHASES = ["produce", "consume", "both", "floor"]


def said(*command):
    """The first line that a program prints."""
    ran = subprocess.run(command, capture_output=True, text=True)
    return (ran.stdout + ran.stderr).split("\n")[0].strip()


def machine():
    """What was measured, and on what."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": date.today().isoformat(),
        "cores": os.cpu_count(),
        "cpu": cpu,
        "memory_gib": round(memory),
        "system": platform.platform(),
        "kafka": os.environ.get("KAFKA_VERSION", "2.8.1"),
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


def chart(rows):
    """Rows a second as bars, a group for each phase."""
    rows = [row for row in rows if row["phase"] in ("produce", "consume", "both")]
    titles = {"produce": "produce", "consume": "consume", "both": "both at once"}
    most = max(row["rows_per_s"] for row in rows)
    left, width, bar, y, parts = 170, 430, 18, 34, []
    for phase, title in titles.items():
        parts.append(f'<text x="12" y="{y + 12}" class="phase">{title}</text>')
        y += 20
        for row in (row for row in rows if row["phase"] == phase):
            long = max(1, width * row["rows_per_s"] / most)
            kind = "ours" if row["contender"] == OURS else "peer"
            parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{escape(row["contender"])}</text>')
            parts.append(f'<rect x="{left}" y="{y}" width="{long:.1f}" height="{bar - 3}" class="{kind}"/>')
            parts.append(f'<text x="{left + long + 6:.1f}" y="{y + 13}">{row["rows_per_s"]:,.0f}</text>')
            y += bar
        y += 12
    info = machine()
    about = f"{info['date']}, Kafka {info['kafka']}, {info['cores']} cores ({info['cpu']}), median of the rounds"
    style = (
        "text{font:12px sans-serif;fill:#333}.phase{font-weight:bold}.ours{fill:#c2410c}.peer{fill:#94a3b8}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{y + 24}" viewBox="0 0 720 {y + 24}"><style>{style}</style>'
        f'<text x="12" y="20" class="phase">Rows a second, rowferry with every guarantee on</text>{"".join(parts)}'
        f'<text x="12" y="{y + 12}">{escape(about)}</text></svg>\n'
    )
