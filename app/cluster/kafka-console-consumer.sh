#!/bin/sh
# Kafka's own kafka-console-consumer.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.consumer.ConsoleConsumer kafka.tools.ConsoleConsumer -- "$@"
