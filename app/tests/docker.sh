#!/bin/sh
# The cluster in Docker, tested as a user meets it. Needs a Docker engine that answers, Compose, and the ports 2181, 9092
# and 8080; fails where they are not to be had. Run it from a checkout: sh app/tests/docker.sh
set -eu
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

topics() { docker exec kafka_server kafka-topics.sh "$@"; }
listed() { topics --list --bootstrap-server localhost:9092 | grep -qxF "$1"; }

# How many messages were ever written to the topic users.
messages() {
    docker exec kafka_server kafka-run-class.sh kafka.tools.GetOffsetShell --broker-list localhost:9092 --topic users |
        awk -F: '{ sum += $3; n++ } END { if (!n) exit 1; print sum }'
}

ship() { quietly cargo run --quiet --bin producer -- --source "$work/source.db" "$@"; }
land() { quietly cargo run --quiet --bin consumer -- --sink "$work/sink.db" --until-caught-up; }
compare() { # ROWS
    cargo run --quiet --bin verify -- --source "$work/source.db" --sink "$work/sink.db" >"$work/verify.log" 2>&1 || fail 'verify says that the databases differ'
    cat "$work/verify.log"
    grep -q "users: $1 rows, equal" "$work/verify.log" || fail "verify does not speak of $1 equal rows"
}

# The test removes what it made, so it must not meet a cluster that somebody uses.
docker info >/dev/null 2>&1 || fail 'no Docker engine answers: start one (docker info says what is wrong)'
for name in zookeeper kafka_server kafka_ui; do
    ! docker inspect "$name" >/dev/null 2>&1 || fail "there is a container $name already: sh server_down.sh in its checkout, then call this again"
done
volumes() { docker volume ls -q --filter "label=com.docker.compose.project" --filter "name=_kafka_data"; }
[ -z "$(volumes)" ] || fail "there is data of a cluster in Docker ($(volumes)), which this test would remove: sh server_down.sh -v first"
work=$(mktemp -d)
producer=
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step 'the cluster goes up through Docker'
quietly sh server_up.sh --docker
listed users || fail 'server_up.sh has made no topic users'

step 'kafka-topics.sh works by docker exec, through the broker and through ZooKeeper'
docker exec kafka_server kafka-topics.sh --create --bootstrap-server localhost:9092 --replication-factor 1 --partitions 1 --topic my-topic-rk
docker exec kafka_server kafka-topics.sh --create --zookeeper zookeeper:2181 --replication-factor 1 --partitions 1 --topic my-topic-zk
listed my-topic-rk || fail 'my-topic-rk is not listed'
listed my-topic-zk || fail 'my-topic-zk is not listed'

step 'a second server_up.sh changes nothing'
started=$(docker inspect -f '{{.State.StartedAt}}' kafka_server)
quietly sh server_up.sh --docker
[ "$started" = "$(docker inspect -f '{{.State.StartedAt}}' kafka_server)" ] || fail 'the broker was started anew'

step '1,000 rows go from one database to the other'
ship --fake 1000
land
compare 1000

step 'the broker restarts while 200,000 rows are under way'
quota='--entity-type clients --entity-default --bootstrap-server localhost:9092 --alter'
# shellcheck disable=SC2086 # words
quietly docker exec kafka_server kafka-configs.sh $quota --add-config producer_byte_rate=500000 # so that it takes a minute
before=$(messages)
cargo run --quiet --bin producer -- --source "$work/source.db" --fake 200000 >"$work/producer.log" 2>&1 &
producer=$!
tries=0
until at=$(messages) && [ "$at" -gt $((before + 2000)) ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || fail 'the producer does not begin to send'
done
quietly docker restart kafka_server
quietly sh server_up.sh --docker # waits until it serves
back=$(messages)
# shellcheck disable=SC2086 # words
quietly docker exec kafka_server kafka-configs.sh $quota --delete-config producer_byte_rate
wait "$producer" || fail "the producer ended with exit code $? after the restart"
producer=
after=$(messages)
echo "messages before $before, then $at, restart, then $back, at the end $after"
[ "$after" -ge $((before + 200000)) ] || fail 'fewer messages than rows'
[ $((after - back)) -gt 2000 ] || fail 'the restart did not strike in mid-flight: all was sent before it'
land
compare 201000

step 'down, and up again: topics, messages and rows are still there'
quietly sh server_down.sh --docker
! docker inspect kafka_server >/dev/null 2>&1 || fail 'the container is still there'
quietly sh server_down.sh --docker
quietly sh server_up.sh --docker
listed my-topic-rk || fail 'my-topic-rk is gone'
[ "$(messages)" = "$after" ] || fail "$(messages) messages instead of $after"
ship
land
compare 201000

step 'down with -v: the data is gone'
quietly sh server_down.sh --docker -v
[ -z "$(volumes)" ] || fail "the volume is still there: $(volumes)"
quietly sh server_up.sh --docker
! listed my-topic-rk || fail 'my-topic-rk is still there'
[ "$(messages)" -eq 0 ] || fail 'messages are still there'

step 'all of it passed'
