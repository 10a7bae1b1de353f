#!/bin/sh
# Kafka's own kafka-run-class.sh, for the native cluster: runs a class of its jars.
[ $# -gt 0 ] || { echo "usage: kafka-run-class.sh CLASS [ARGUMENT...]" >&2 && exit 1; }
class=$1
shift
exec sh "$(dirname "$0")/tool.sh" "$class" -- "$@"
