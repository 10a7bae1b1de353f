#!/bin/sh
# Runs one of Kafka's own command-line tools against the native cluster; kafka-*.sh are its fronts.
#   tool.sh CLASS... -- ARGUMENT...   the first CLASS that this Kafka version has (they have moved over the years)
# Addresses may be written as for the cluster in Docker, from outside or inside: they are turned into those of the native cluster.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh disable=SC1091
. "$TOP/app/cluster/common.sh"
# shellcheck source-path=SCRIPTDIR source=jars.sh disable=SC1091
. "$TOP/app/cluster/jars.sh"
# shellcheck source-path=SCRIPTDIR source=native.sh disable=SC1091
. "$TOP/app/cluster/native.sh"

# The names of the files in a jar stand in it as plain text.
has_class() { grep -qF "$(printf '%s' "$1" | tr . /).class" "$LIBS"/*.jar; }

cluster_settings '' '' ''
find_java
find_jars

class=
while [ "$1" != -- ]; do
    if [ -z "$class" ] && has_class "$1"; then class=$1; fi
    wanted=$1
    shift
done
shift
[ -n "$class" ] || die "Kafka $KAFKA_VERSION has no such tool ($wanted)" "set KAFKA_VERSION to a later version for a cluster that has it"

# Sets `here` to what a list of addresses is here. What is no address in Docker stays as it is.
translate() { # HOST:PORT,...
    here='' rest=$1,
    while [ -n "$rest" ]; do
        each=${rest%%,*}
        rest=${rest#*,}
        number=
        case $each in
        zookeeper:2181*) each=127.0.0.1:$ROWFERRY_ZOOKEEPER_PORT${each#zookeeper:2181} ;;
        localhost:2181*) each=127.0.0.1:$ROWFERRY_ZOOKEEPER_PORT${each#localhost:2181} ;;
        kafka_server:29092 | broker:29092 | kafka:29092) number=1 ;;
        kafka_server_[2-9]:29092 | broker_[2-9]:29092 | kafka_[2-9]:29092) number=${each%:29092} && number=${number##*_} ;;
        localhost:909[2-9] | localhost:9100) number=$((${each#localhost:} - 9091)) ;;
        localhost:929[2-9] | localhost:9300)
            number=$((${each#localhost:} - 9291))
            if [ -n "$SECURE" ] && [ "$number" -le "$BROKERS" ]; then each=localhost:$(secure_port "$number"); fi
            number= ;;
        esac
        if [ "${number:-10}" -le "$BROKERS" ]; then each=localhost:$(broker_port "$number"); fi
        here=$here,$each
    done
    here=${here#,}
}

for argument do
    shift
    case $STACK$argument in kraft--zookeeper*)
        die "this cluster has no ZooKeeper: its stack is kraft" "use --bootstrap-server localhost:9092 instead of --zookeeper" ;;
    esac
    case $argument in
    --*=*) translate "${argument#*=}" && argument=${argument%%=*}=$here ;;
    *) translate "$argument" && argument=$here ;;
    esac
    set -- "$@" "$argument"
done
run_class "$class" "$@"
