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
sh server_up.sh [--native | --docker] [--stack NAME] [--brokers N] [--secure]
                [--topic NAME] [--partitions N] [--replication-factor N]

Starts a Kafka cluster, waits until it serves, and creates the topic if it is not there. Safe to call again: what runs is
left alone, what is missing is started. sh server_down.sh stops it.

  --docker                through Docker Compose (the default where a Docker engine answers)
  --native                as plain Java processes (the default elsewhere; needs Java 11+, Java 17+ from Kafka 4 on, and Maven)
  --stack NAME            what the cluster is made of (wurstmeister, or what the cluster that is here is made of)
                            wurstmeister  ZooKeeper and Kafka 2.8.1
                            confluent     ZooKeeper and Kafka 3.3.2, the one in Confluent Platform 7.3.2
                            kraft         Kafka 4.4, which needs no ZooKeeper (KAFKA_VERSION=3.9.1: that one)
  --brokers N             the number of brokers, 1 to 9 (through Docker 1 to 3), on ports 9092, 9093 ... (1, or as many as the
                            cluster that is here has)
  --secure                a listener with TLS and a login beside the plain one, on ports 9292, 9293 ...; the keys, the
                            password and the options for it are told at the end (only with --stack kraft; needs openssl).
                            The plain one stays for Kafka's own tools; both are open to this machine only
  --topic NAME            the topic to create (users)
  --partitions N          its number of partitions (3)
  --replication-factor N  its number of replicas (the number of brokers, and 3 at most)
  --help                  this text

Environment:
  KAFKA_VERSION            the version of Kafka (that of the stack: 2.8.1, 3.3.2 or 4.4.0; 0.9.0.1 and 3.9.1 are tried as well);
                           through Docker only --stack kraft has more than one
  ROWFERRY_CLUSTER_DIR     folder for its data, logs and process ids (data/cluster); through Docker only the keys of
                           --secure, in a folder beside it (data/cluster-docker)

Environment, for the native cluster:
  ROWFERRY_KAFKA_PORT      port of the first broker, the others take the next ones (9092); or a port for each: 9092,9192,9292
  ROWFERRY_ZOOKEEPER_PORT  port of ZooKeeper (2181)
  ROWFERRY_KAFKA_CONFIG    more lines for the brokers' server.properties, such as auto.create.topics.enable=false
  XDG_CACHE_HOME           where the folder rowferry with Kafka's jars lies (~/.cache)
  JAVA_HOME                the Java to use
END
}

positive() { # OPTION VALUE
    case $2 in *[!0-9]* | '' | 0* | ??????*) misused "$1 needs a number from 1 to 99999, not '$2'" ;; esac
}

# What was not asked for stays empty: `stack` and `brokers` are what was asked, STACK and BROKERS what holds.
way='' stack='' brokers='' secure='' topic=users partitions=3 replicas=''
while [ $# -gt 0 ]; do
    option=$1
    case $option in
    --stack=* | --brokers=* | --topic=* | --partitions=* | --replication-factor=*)
        value=${option#*=}
        shift
        set -- "${option%%=*}" "$value" "$@"
        continue ;;
    --stack | --brokers | --topic | --partitions | --replication-factor) [ $# -ge 2 ] || misused "$option needs a value" ;;
    esac
    case $option in
    --stack)
        case $2 in wurstmeister | confluent | kraft) ;; *) misused "--stack is wurstmeister, confluent or kraft, not '$2'" ;; esac
        stack=$2 && shift ;;
    --brokers)
        case $2 in [1-9]) ;; *) misused "--brokers needs a number from 1 to 9, not '$2'" ;; esac
        brokers=$2 && shift ;;
    --native | --docker)
        [ -z "$way" ] || [ "$way" = "${option#--}" ] || misused "--native and --docker exclude each other"
        way=${option#--} ;;
    --secure) secure=yes ;;
    --topic) topic=$2 && shift ;;
    --partitions) positive "$option" "$2" && partitions=$2 && shift ;;
    --replication-factor) positive "$option" "$2" && replicas=$2 && shift ;;
    -h | --help) usage && exit ;;
    *) misused "unknown option $option" ;;
    esac
    shift
done
case $topic in . | .. | '' | *[!A-Za-z0-9._-]*)
    misused "--topic needs a name of letters, digits, '.', '_' and '-', not '$topic'" ;;
esac

# Kafka makes the topic for the positions of groups when a group is first asked for, and only while all brokers that are to hold it
# are there: if one were lost before that, no group could be formed. So one is asked for as long as all are there.
make_room_for_groups() {
    end=$(($(date +%s) + 30))
    while case $("${way}_describe_group" rowferry) in
        *GroupIdNotFound*) false ;; # a coordinator said so: from 4.0 on, where there is no such group
        *oordinator* | *"failed due to"*) true ;;
        *) false ;; esac do
        [ "$(date +%s)" -lt "$end" ] ||
            { warn "consumer groups have no coordinator yet: consumers will wait for one" && return; }
    done
}

choose_way
BROKERS=${brokers:-1} SECURE=$secure
"${way}_up"
[ -n "$replicas" ] || replicas=$((BROKERS < 3 ? BROKERS : 3))
if ! created=$("${way}_create_topic" "$topic" "$partitions" "$replicas" 2>&1); then
    words_of_tool "$created"
    die "the cluster runs, but the topic $topic could not be created" "the lines above say why; then call server_up.sh again"
fi
[ "$BROKERS" -eq 1 ] || make_room_for_groups
case $created in
*"Created topic"*) topic_state="created, partitions: $partitions" ;;
*) topic_state="was there already, left as it is" ;;
esac
say '' 'The cluster serves.'
"${way}_addresses"
say "  topic        $topic ($topic_state)"
[ -z "$SECURE" ] || secure_options "$("${way}_secure_ports")"
say '' 'Next:' \
    '  cargo run --bin producer    ships the rows of data/source.db' \
    '  cargo run --bin consumer    lands them in data/sink.db' \
    '  cargo run --bin verify      compares both' \
    '  sh server_down.sh           stops the cluster (-v: removes its data too)'
