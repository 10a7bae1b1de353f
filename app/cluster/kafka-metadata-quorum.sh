#!/bin/sh
# Kafka's own kafka-metadata-quorum.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.MetadataQuorumCommand kafka.admin.MetadataQuorumCommand -- "$@"
