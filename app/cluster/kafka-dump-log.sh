#!/bin/sh
# Kafka's own kafka-dump-log.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.DumpLogSegments kafka.tools.DumpLogSegments -- "$@"
