"""A cluster that server_up.sh started: where it listens, and the CPU time that its brokers take."""

import os
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Cluster:
    """By its folder, which holds what server_up.sh notes there."""

    def __init__(self, folder):
        self.version = (folder / "version").read_text()
        self.brokers = ",".join(f"localhost:{port}" for port in (folder / "kafka.port").read_text().split(","))
        self.processes = [int(file.read_text()) for file in folder.glob("broker-*.pid")]

    def cpu(self):
        """CPU seconds of all brokers so far; ZooKeeper's are not in it."""
        return sum(cpu_of(process) for process in self.processes)


def cpu_of(process):
    """CPU seconds of a process so far, while it runs."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS_PER_S
