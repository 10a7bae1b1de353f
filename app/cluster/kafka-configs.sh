#!/bin/sh
# Kafka's own kafka-configs.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.ConfigCommand kafka.admin.ConfigCommand -- "$@"
