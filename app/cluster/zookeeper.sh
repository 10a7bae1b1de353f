# shellcheck shell=sh
# ZooKeeper and what a broker needs to know of it: the stacks wurstmeister and confluent. To be sourced by native.sh.

zookeeper_up() {
    if pid=$(node_pid zookeeper); then
        say "ZooKeeper runs already (process $pid)"
    else
        zookeeper_properties >"$ROWFERRY_CLUSTER_DIR/zookeeper.properties"
        start_node zookeeper 256m org.apache.zookeeper.server.quorum.QuorumPeerMain zookeeper.properties
        say "ZooKeeper starts (process $(node_pid zookeeper))"
    fi
    await_node zookeeper 'binding to port'
}

zookeeper_properties() {
    cat <<END
dataDir=./zookeeper
clientPort=$ROWFERRY_ZOOKEEPER_PORT
clientPortAddress=127.0.0.1
maxClientCnxns=0
tickTime=2000
admin.enableServer=false
4lw.commands.whitelist=*
END
}

zookeeper_broker_properties() { # NUMBER
    cat <<END
broker.id=$1
listeners=PLAINTEXT://127.0.0.1:$(broker_port "$1")
zookeeper.connect=127.0.0.1:$ROWFERRY_ZOOKEEPER_PORT
zookeeper.session.timeout.ms=6000
zookeeper.connection.timeout.ms=20000
END
}

# A broker that was killed stays registered until its session with ZooKeeper ends, and until then a new one may not register.
await_forgotten() { # NUMBER...
    end=$(($(date +%s) + 30))
    told=
    registered=$(registered_brokers)
    for number do
        while printf '%s\n' "$registered" | grep -qx "$number"; do
            [ -n "$told" ] || say "waiting until ZooKeeper has forgotten the broker that ended (some seconds)"
            told=yes
            [ "$(date +%s)" -lt "$end" ] || die "another broker is registered as number $number in this ZooKeeper" "stop that broker"
            sleep 0.5
            registered=$(registered_brokers)
        done
    done
}

# A broker that ran on while ZooKeeper did not comes back to it by itself, a little later.
await_registered() {
    end=$(($(date +%s) + 60))
    until all_registered; do
        [ "$(date +%s)" -lt "$end" ] || die "broker $number is not registered with ZooKeeper after 60 s" "see $ROWFERRY_CLUSTER_DIR/broker-$number.log"
        sleep 0.5
    done
}

all_registered() {
    registered=$(registered_brokers)
    for number in $(numbers); do
        printf '%s\n' "$registered" | grep -qx "$number" || return 1
    done
}

# The numbers of the brokers that ZooKeeper holds for alive, a line each.
registered_brokers() {
    run_class org.apache.zookeeper.client.FourLetterWordMain 127.0.0.1 "$ROWFERRY_ZOOKEEPER_PORT" dump |
        sed -n 's|^[[:space:]]*/brokers/ids/\([0-9]*\)$|\1|p'
}
