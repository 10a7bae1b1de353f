# shellcheck shell=sh
# Kafka without ZooKeeper, the stack kraft: each broker is a controller too. To be sourced by native.sh.

# Chooses a port for each broker, so far behind its own, and records them; while a node runs they
# stay what they are.
choose_ports() { # FILE DISTANCE PORTS-OF-OTHERS
    ! native_runs || return 0
    chosen=
    for number in $(numbers); do
        candidate=$(($(broker_port "$number") + $2))
        while port_taken "$candidate" || [ "$candidate" -gt 65535 ] || among "$candidate" "$chosen,$3"; do
            candidate=$((candidate < 65535 ? candidate + 1 : 1024))
        done
        chosen=${chosen:+$chosen,}$candidate
    done
    record "$1" "$chosen"
}

secure_port() { nth "$1" "$(recorded secure.port '')"; } # NUMBER

kraft_broker_properties() { # NUMBER REPLICAS IN-SYNC
    controllers=$(recorded controller.port '')
    voters=
    for number in $(numbers); do
        voters=${voters:+$voters,}$number@127.0.0.1:$(nth "$number" "$controllers")
    done
    cat <<END
process.roles=broker,controller
node.id=$1
listeners=PLAINTEXT://127.0.0.1:$(broker_port "$1"),CONTROLLER://127.0.0.1:$(nth "$1" "$controllers")${SECURE:+,SECURE://127.0.0.1:$(secure_port "$1")}
controller.listener.names=CONTROLLER
controller.quorum.voters=$voters
broker.session.timeout.ms=6000
share.coordinator.state.topic.replication.factor=$2
share.coordinator.state.topic.min.isr=$3
END
    [ -z "$SECURE" ] || secure_properties
}

# A node's storage bears the name of the cluster and its number before it starts for the first time.
format_storage() { # NUMBER...
    [ -s "$ROWFERRY_CLUSTER_DIR/cluster.id" ] || record cluster.id "$(cluster_id)"
    for number do
        [ -e "$ROWFERRY_CLUSTER_DIR/broker-$number/meta.properties" ] || (
            cd "$ROWFERRY_CLUSTER_DIR" || exit 1
            run_class kafka.tools.StorageTool format --ignore-formatted -t "$(recorded cluster.id '')" -c "broker-$number.properties" \
                </dev/null >"broker-$number.log" 2>&1
        ) &
    done
    wait
    for number do
        [ -e "$ROWFERRY_CLUSTER_DIR/broker-$number/meta.properties" ] || {
            tail_of "$ROWFERRY_CLUSTER_DIR/broker-$number.log"
            die "the storage of broker $number could not be formatted" "the lines above say why"
        }
    done
}

# 16 bytes by chance, in the base64 that Kafka wants: 22 signs, the last of which holds just two bits.
cluster_id() { printf '%sA' "$(od -An -N 11 -tx1 /dev/urandom | tr -d ' \n' | cut -c 1-21)"; }
