#!/bin/sh
# Runs one of Kafka's own command-line tools against the native cluster; kafka-*.sh are its fronts.
#   tool.sh CLASS... -- ARGUMENT...   the first CLASS that this Kafka version has (they have moved over the years)
# Addresses may be written as inside the container kafka_server: they are turned into those of the native cluster.
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

native_settings
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

for argument do
    shift
    case $argument in
    zookeeper:2181*) argument=127.0.0.1:$ROWFERRY_ZOOKEEPER_PORT${argument#zookeeper:2181} ;;
    localhost:9092) argument=localhost:$ROWFERRY_KAFKA_PORT ;;
    --*=zookeeper:2181*) argument=${argument%%=*}=127.0.0.1:$ROWFERRY_ZOOKEEPER_PORT${argument#*=zookeeper:2181} ;;
    --*=localhost:9092) argument=${argument%%=*}=localhost:$ROWFERRY_KAFKA_PORT ;;
    esac
    set -- "$@" "$argument"
done
run_class "$class" "$@"
