#!/bin/sh
# Kafka's own kafka-leader-election.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.LeaderElectionCommand kafka.admin.LeaderElectionCommand -- "$@"
