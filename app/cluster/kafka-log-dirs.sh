#!/bin/sh
# Kafka's own kafka-log-dirs.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.LogDirsCommand kafka.admin.LogDirsCommand -- "$@"
