#!/bin/sh
# The benchmark: this project beside its peers, on one machine, in one run. Options go to bench.py (--help tells them).
# It starts two clusters of its own, Kafka 2.8.1 and 4.4, on free ports, and leaves nothing running. Results lie in app/bench/results/ afterwards.
set -eu
cd "$(dirname "$0")/../.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/rowferry
python=$cache/bench-python

die() { echo "bench: $*" >&2; exit 1; }

for tool in cargo java mvn kcat sqlite3 python3; do
    command -v "$tool" >/dev/null || die "no $tool here: app/bench/README.md tells what the benchmark needs"
done
"$python/bin/python" -c 'import confluent_kafka, kafka, orjson' 2>/dev/null || {
    rm -rf "$python"
    mkdir -p "$cache"
    python3 -m venv "$python"
    "$python/bin/pip" install -q --disable-pip-version-check -r app/bench/peers/requirements.txt
}
case " $* " in *' --help '* | *' -h '*) exec "$python/bin/python" app/bench/bench.py "$@" ;; esac
cargo build --quiet --release --bins --examples

work=$(mktemp -d "${TMPDIR:-/tmp}/rowferry-bench.XXXXXX")
ports=$("$python/bin/python" -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(socket.getsockname()[1] for socket in held))')
# shellcheck disable=SC2086 # words
set_ports() { old_port=$1 new_port=$2 zookeeper_port=$3; }
# shellcheck disable=SC2086 # words
set_ports $ports
unset KAFKA_VERSION
finish() {
    for cluster in old new; do
        ROWFERRY_CLUSTER_DIR="$work/$cluster" sh server_down.sh --native -v >/dev/null 2>&1 || true
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
up() { # NAME STACK PORT
    ROWFERRY_CLUSTER_DIR="$work/$1" ROWFERRY_KAFKA_PORT=$3 ROWFERRY_ZOOKEEPER_PORT=$zookeeper_port \
        sh server_up.sh --native --stack "$2" --topic warm-up >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; exit 1; }
}
up old wurstmeister "$old_port"
up new kraft "$new_port"
TMPDIR=$work "$python/bin/python" app/bench/bench.py "$work/old" "$work/new" "$@"
