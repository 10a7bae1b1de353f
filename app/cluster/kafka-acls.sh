#!/bin/sh
# Kafka's own kafka-acls.sh, for the native cluster.
exec sh "$(dirname "$0")/tool.sh" org.apache.kafka.tools.AclCommand kafka.admin.AclCommand -- "$@"
