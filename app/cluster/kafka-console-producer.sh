#!/bin/sh
# Kafka's own kafka-console-producer.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.ConsoleProducer kafka.tools.ConsoleProducer -- "$@"
