#!/bin/sh
# Kafka's own kafka-topics.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.TopicCommand kafka.admin.TopicCommand -- "$@"
