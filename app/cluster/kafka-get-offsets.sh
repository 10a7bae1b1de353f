#!/bin/sh
# Kafka's own kafka-get-offsets.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.GetOffsetShell kafka.tools.GetOffsetShell -- "$@"
