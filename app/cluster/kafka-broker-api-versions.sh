#!/bin/sh
# Kafka's own kafka-broker-api-versions.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.BrokerApiVersionsCommand kafka.admin.BrokerApiVersionsCommand -- "$@"
