#!/bin/sh
# Kafka's own kafka-delete-records.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.DeleteRecordsCommand kafka.admin.DeleteRecordsCommand -- "$@"
