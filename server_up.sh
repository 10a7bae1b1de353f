#!/bin/sh
# Starts a Kafka cluster for development, waits until it serves, and creates the topic.
set -u
TOP=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=app/cluster/common.sh disable=SC1091
. "$TOP/app/cluster/common.sh"
# shellcheck source-path=SCRIPTDIR source=app/cluster/jars.sh disable=SC1091
. "$TOP/app/cluster/jars.sh"
# shellcheck source-path=SCRIPTDIR source=app/cluster/native.sh disable=SC1091
. "$TOP/app/cluster/native.sh"
# shellcheck source-path=SCRIPTDIR source=app/cluster/docker.sh disable=SC1091
. "$TOP/app/cluster/docker.sh"

usage() {
    cat <<'END'
sh server_up.sh [--native | --docker] [--topic NAME] [--partitions N] [--replication-factor N]

Starts ZooKeeper and Kafka, waits until they serve, and creates the topic if it is not there. Safe to call again: what
runs is left alone, what is missing is started. sh server_down.sh stops it.

  --docker                through Docker Compose (the default where a Docker engine answers)
  --native                as plain Java processes (the default elsewhere; needs Java 11+ and Maven)
  --topic NAME            the topic to create (users)
  --partitions N          its number of partitions (3)
  --replication-factor N  its number of replicas (1)
  --help                  this text

Environment, for the native cluster:
  KAFKA_VERSION            the version of Kafka (2.8.1; 0.9.0.1, 3.3.2 and 3.9.1 are tried as well)
  ROWFERRY_CLUSTER_DIR     folder for its data, logs and process ids (data/cluster)
  ROWFERRY_KAFKA_PORT      port of the broker (9092)
  ROWFERRY_ZOOKEEPER_PORT  port of ZooKeeper (2181)
  ROWFERRY_KAFKA_CONFIG    more lines for the broker's server.properties, such as auto.create.topics.enable=false
  XDG_CACHE_HOME           where the folder rowferry with Kafka's jars lies (~/.cache)
  JAVA_HOME                the Java to use
END
}

positive() { # OPTION VALUE
    case $2 in *[!0-9]* | '' | 0* | ??????*) misused "$1 needs a number from 1 to 99999, not '$2'" ;; esac
}

way='' topic=users partitions=3 replicas=1
while [ $# -gt 0 ]; do
    option=$1
    case $option in
    --topic=* | --partitions=* | --replication-factor=*)
        value=${option#*=}
        shift
        set -- "${option%%=*}" "$value" "$@"
        continue ;;
    --topic | --partitions | --replication-factor) [ $# -ge 2 ] || misused "$option needs a value" ;;
    esac
    case $option in
    --native | --docker)
        [ -z "$way" ] || [ "$way" = "${option#--}" ] || misused "--native and --docker exclude each other"
        way=${option#--} ;;
    --topic) topic=$2 && shift ;;
    --partitions) partitions=$2 && shift ;;
    --replication-factor) replicas=$2 && shift ;;
    -h | --help) usage && exit ;;
    *) misused "unknown option $option" ;;
    esac
    shift
done
positive --partitions "$partitions"
positive --replication-factor "$replicas"
case $topic in . | .. | '' | *[!A-Za-z0-9._-]*)
    misused "--topic needs a name of letters, digits, '.', '_' and '-', not '$topic'" ;;
esac

choose_way
"${way}_up"
if ! created=$("${way}_create_topic" "$topic" "$partitions" "$replicas" 2>&1); then
    printf '%s\n' "$created" | grep -v '^[[:space:]]*at ' | head -n 5 | cut -c 1-300 | sed 's/^/  | /' >&2
    die "the cluster runs, but the topic $topic could not be created" "the lines above say why; then call server_up.sh again"
fi
case $created in
*"Created topic"*) topic_state="created, partitions: $partitions" ;;
*) topic_state="was there already, left as it is" ;;
esac
say '' 'The cluster serves.'
"${way}_addresses"
say "  topic        $topic ($topic_state)" '' 'Next:' \
    '  cargo run --bin producer    ships the rows of data/source.db' \
    '  cargo run --bin consumer    lands them in data/sink.db' \
    '  cargo run --bin verify      compares both' \
    '  sh server_down.sh           stops the cluster (-v: removes its data too)'
