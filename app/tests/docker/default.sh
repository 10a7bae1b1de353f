# shellcheck shell=sh disable=SC2154 # to be sourced by docker.sh
# The default stack, at length.

topics() { docker exec kafka_server kafka-topics.sh "$@"; }
listed() { topics --list --bootstrap-server localhost:9092 | grep -qxF "$1"; }

# How many messages were ever written to the topic users.
messages() {
    docker exec kafka_server kafka-run-class.sh kafka.tools.GetOffsetShell --broker-list localhost:9092 --topic users |
        awk -F: '{ sum += $3; n++ } END { if (!n) exit 1; print sum }'
}

step 'the cluster goes up through Docker'
quietly sh server_up.sh --docker
listed users || fail 'server_up.sh has made no topic users'

step 'kafka-topics.sh works by docker exec, through the broker and through ZooKeeper'
docker exec kafka_server kafka-topics.sh --create --bootstrap-server localhost:9092 --replication-factor 1 --partitions 1 --topic my-topic-rk
docker exec kafka_server kafka-topics.sh --create --zookeeper zookeeper:2181 --replication-factor 1 --partitions 1 --topic my-topic-zk
listed my-topic-rk || fail 'my-topic-rk is not listed'
listed my-topic-zk || fail 'my-topic-zk is not listed'

step 'a second server_up.sh changes nothing'
started=$(since)
quietly sh server_up.sh --docker
[ "$started" = "$(since)" ] || fail 'a container was started anew'

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
# shellcheck disable=SC2086 # words
quietly docker exec kafka_server kafka-configs.sh $quota --delete-config producer_byte_rate
wait "$producer" || fail "the producer ended with exit code $? after the restart"
producer=
after=$(messages)
echo "messages before $before, then $at, restart, at the end $after"
[ "$after" -ge $((before + 200000)) ] || fail 'fewer messages than rows'
grep -q 'Kafka answers again' "$work/producer.log" || fail 'the restart did not strike in mid-flight: the producer noticed nothing'
land
compare 201000

step 'down, and up again: topics, messages and rows are still there'
quietly sh server_down.sh --docker
[ -z "$(ours)" ] || fail "containers are left: $(ours)"
quietly sh server_down.sh --docker
quietly sh server_up.sh --docker
listed my-topic-rk || fail 'my-topic-rk is gone'
[ "$(messages)" = "$after" ] || fail "$(messages) messages instead of $after"
ship
land
compare 201000

step 'down with -v: the data is gone'
quietly sh server_down.sh --docker -v
gone
quietly sh server_up.sh --docker
! listed my-topic-rk || fail 'my-topic-rk is still there'
[ "$(messages)" -eq 0 ] || fail 'messages are still there'
quietly sh server_down.sh --docker -v
