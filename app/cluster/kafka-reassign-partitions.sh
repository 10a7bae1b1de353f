#!/bin/sh
# Kafka's own kafka-reassign-partitions.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.reassign.ReassignPartitionsCommand kafka.admin.ReassignPartitionsCommand -- "$@"
