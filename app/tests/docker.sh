#!/bin/sh
# The cluster in Docker, tested as a user meets it. Needs a Docker engine that answers, Compose, and
# the ports 2181, 9092 to 9094, 9292 to 9294 and 8080; fails where they are not to be had.
# Run it from a checkout:
#   sh app/tests/docker.sh [default] [stacks] [kraft] [apps]    all of them unless told
# It leaves the image `rowferry` behind, so that the next run need not compile it.
set -eu
unset KAFKA_VERSION ROWFERRY_CLUSTER_DIR
cd "$(dirname "$0")/../.."

fail() {
    printf 'FAILED: %s\n' "$1" >&2
    exit 1
}
step() { printf '== %s\n' "$1"; }

cleanup() {
    code=$?
    trap - EXIT
    [ -z "$producer" ] || kill "$producer" 2>/dev/null || true
    if [ "$code" -ne 0 ]; then
        for log in "$work"/*.log; do
            [ ! -s "$log" ] || { printf -- '-- %s ends with:\n' "${log##*/}" && tail -n 20 "$log"; } >&2
        done
    fi
    sh server_down.sh --docker -v >/dev/null 2>&1 || code=1
    rm -rf "$work"
    exit "$code"
}

# Runs a command whose output matters only when it fails.
quietly() {
    "$@" >"$work/last.log" 2>&1 || fail "this ended with exit code $?: $*"
}

await() { # SECONDS COMMAND...: until it succeeds
    limit=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$limit" ] || fail "in vain waited for: $*"
        sleep 0.5
    done
}

state() { docker inspect -f "{{.State.$1}}" "$2"; }
healthy() { [ "$(state Health.Status "$1")" = healthy ]; }
ours() { docker ps -a --filter "label=com.docker.compose.project.working_dir=$PWD" --format '{{.Names}}' | sort; }
since() { for name in $(ours); do echo "$name $(state StartedAt "$name")"; done; }

page() {
    await 60 healthy kafka_ui
    [ "$(docker port kafka_ui 8080/tcp)" = 127.0.0.1:8080 ] || fail 'Kafka UI is not at port 8080'
}

gone() {
    [ -z "$(ours)" ] || fail "containers are left: $(ours)"
    [ "$(docker volume ls -q)" = "$volumes" ] || fail "volumes are left: $(docker volume ls -q)"
}

# One of Kafka's tools, as the stack's own image has it, in the container of the first broker.
tool() { # STACK NAME ARGUMENT...
    case $1 in
    confluent) first=broker named=$2 ;;
    kraft) first=kafka named=/opt/kafka/bin/$2.sh ;;
    *) first=kafka_server named=$2.sh ;;
    esac
    shift 2
    docker exec "$first" "$named" --bootstrap-server "$first:29092" "$@"
}

in_sync() { # STACK: each partition of the topic users has three replicas that hold all
    described=$(tool "$1" kafka-topics --describe --topic users)
    [ "$(printf '%s\n' "$described" | grep -cE 'Isr: [1-3],[1-3],[1-3]([^,]|$)')" -eq 3 ]
}

refused() { # WORDS COMMAND...
    words=$1
    shift
    if "$@" >"$work/last.log" 2>&1; then fail "this was to be refused: $*"; fi
    grep -qF -e "$words" "$work/last.log" || fail "it says nothing of '$words': $*"
}

ship() { quietly cargo run --quiet --bin producer -- --source "$work/source.db" "$@"; }
land() { quietly cargo run --quiet --bin consumer -- --sink "$work/sink.db" --until-caught-up "$@"; }
compare() { # ROWS
    cargo run --quiet --bin verify -- --source "$work/source.db" --sink "$work/sink.db" >"$work/verify.log" 2>&1 || fail 'verify says that the databases differ'
    cat "$work/verify.log"
    grep -q "users: $1 rows, equal" "$work/verify.log" || fail "verify does not speak of $1 equal rows"
}
afresh() { rm -f "$work"/*.db*; }

[ $# -gt 0 ] || set -- default stacks kraft apps
for part; do
    [ -e "app/tests/docker/$part.sh" ] || fail "there is no part $part; there are default, stacks, kraft and apps"
done

# The test removes what it made, so it must not meet a cluster that somebody uses.
docker info >/dev/null 2>&1 || fail 'no Docker engine answers: start one (docker info says what is wrong)'
for name in zookeeper kafka_server broker kafka kafka_ui producer consumer; do
    ! docker inspect "$name" >/dev/null 2>&1 || fail "there is a container $name already: sh server_down.sh in its checkout, then call this again"
done
data=$(docker volume ls -q --filter "label=com.docker.compose.project" --filter "name=_kafka_data")
[ -z "$data" ] || fail "there is data of a cluster in Docker ($data), which this test would remove: sh server_down.sh -v first"
volumes=$(docker volume ls -q)
work=$(mktemp -d)
producer=
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for part; do
    afresh
    # shellcheck source=/dev/null
    . "app/tests/docker/$part.sh"
done
step 'all of it passed'
