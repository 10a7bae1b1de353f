# shellcheck shell=sh
# The native cluster: one ZooKeeper and one Kafka broker as plain Java processes. To be sourced after jars.sh.
# A node is one process; all that belongs to node N lies in the cluster's folder as N.pid, N.log, N.properties and N/ (data).

# Fills in what the environment leaves open: first what the cluster in the folder runs with, then the defaults.
native_settings() {
    ROWFERRY_CLUSTER_DIR=${ROWFERRY_CLUSTER_DIR:-$TOP/data/cluster}
    case $ROWFERRY_CLUSTER_DIR in /*) ;; *) ROWFERRY_CLUSTER_DIR=$PWD/$ROWFERRY_CLUSTER_DIR ;; esac
    KAFKA_VERSION=${KAFKA_VERSION:-$(recorded version 2.8.1)}
    ROWFERRY_KAFKA_PORT=${ROWFERRY_KAFKA_PORT:-$(recorded kafka.port 9092)}
    ROWFERRY_ZOOKEEPER_PORT=${ROWFERRY_ZOOKEEPER_PORT:-$(recorded zookeeper.port 2181)}
    case $KAFKA_VERSION in *[!0-9.]* | '' | .*)
        die "KAFKA_VERSION is '$KAFKA_VERSION', which is no version" "use one such as 2.8.1" ;;
    esac
    check_port ROWFERRY_KAFKA_PORT "$ROWFERRY_KAFKA_PORT"
    check_port ROWFERRY_ZOOKEEPER_PORT "$ROWFERRY_ZOOKEEPER_PORT"
}

check_port() { # SETTING VALUE
    case $2 in
    *[!0-9]* | '' | 0* | ??????*) ;;
    *) [ "$2" -gt 65535 ] || return 0 ;;
    esac
    die "$1 is '$2', which is no port" "use a number from 1 to 65535"
}

recorded() { # NAME DEFAULT
    cat "$ROWFERRY_CLUSTER_DIR/$1" 2>/dev/null || printf '%s' "$2"
}

# The process id of a node, if it runs and is ours: a left-over file can name a process that is something else by now.
node_pid() {
    pid=$(cat "$ROWFERRY_CLUSTER_DIR/$1.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
    if [ -d /proc/self ]; then
        tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null
    else
        ps -ww -o args= -p "$pid" | tr ' ' '\n'
    fi 2>/dev/null | grep -qxF -e "$(node_mark "$1")" && printf '%s' "$pid"
}

# An argument by which a process of ours is known; ps shows it in words, so it holds no space.
node_mark() { printf -- '-Drowferry.node=%s' "$(printf %s "$ROWFERRY_CLUSTER_DIR/$1" | tr ' ' '_')"; }

nodes() { # all that were ever started here, brokers first
    for file in "$ROWFERRY_CLUSTER_DIR"/broker-*.pid "$ROWFERRY_CLUSTER_DIR"/zookeeper.pid; do
        [ ! -e "$file" ] || basename "$file" .pid
    done
}

native_runs() {
    for node in $(nodes); do
        ! node_pid "$node" >/dev/null || return 0
    done
    return 1
}

# Starts a node as a daemon. It runs inside the cluster's folder, so that no file of settings needs to hold a path.
start_node() { # NODE HEAP CLASS ARGUMENT...
    node=$1 heap=$2
    shift 2
    launch=
    ! have setsid || launch=setsid # a session of its own, where there is the command for it
    (
        cd "$ROWFERRY_CLUSTER_DIR" || exit 1
        rm -f "$node.pid"
        [ ! -e "$node.log" ] || mv "$node.log" "$node.log.old"
        # The shell notes its own process id and then becomes Java: from the first moment the process has its mark.
        # shellcheck disable=SC2016 # the inner shell is to expand these
        $launch nohup sh -c 'echo $$ >"$0" && exec "$@"' "$node.pid" "$JAVA" "$(node_mark "$node")" "-Xmx$heap" \
            -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true -Dlog4j.configuration=file:log4j.properties \
            -Dzookeeper.preAllocSize=1024 -cp "$LIBS/*" "$@" </dev/null >"$node.log" 2>&1 &
    )
    tries=0
    until [ -s "$ROWFERRY_CLUSTER_DIR/$node.pid" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { tail_of "$ROWFERRY_CLUSTER_DIR/$node.log"; die "could not start $node"; }
        sleep 0.05
    done
}

# Waits until a node has written a line that matches.
await_node() { # NODE PATTERN
    log=$ROWFERRY_CLUSTER_DIR/$1.log
    end=$(($(date +%s) + 60))
    until grep -qE "$2" "$log" 2>/dev/null; do
        if ! node_pid "$1" >/dev/null; then
            warn "the last lines of $log:"
            grep -E 'ERROR|FATAL|Exception|Error:' "$log" | tail -n 4 | cut -c 1-300 | sed 's/^/  | /' >&2
            tail_of "$log"
            die "$1 ended while it started" "the lines above say why; sh server_down.sh -v removes all data if that is what stands in the way"
        fi
        [ "$(date +%s)" -lt "$end" ] || { tail_of "$log"; die "$1 did not get ready within 60 s" "see $log"; }
        sleep 0.1
    done
}

native_up() {
    native_settings
    [ "$STACK $BROKERS" = 'wurstmeister 1' ] || die "natively, only --stack wurstmeister with --brokers 1 can be started yet"
    find_java
    mkdir -p "$ROWFERRY_CLUSTER_DIR" 2>/dev/null || die "cannot make the folder $ROWFERRY_CLUSTER_DIR" "choose another one with ROWFERRY_CLUSTER_DIR"
    [ "$KAFKA_VERSION" = "$(recorded version "$KAFKA_VERSION")" ] ||
        die "$ROWFERRY_CLUSTER_DIR holds a cluster of Kafka $(recorded version ''), not $KAFKA_VERSION" \
            "remove it with its data (sh server_down.sh -v), leave KAFKA_VERSION unset, or choose another folder with ROWFERRY_CLUSTER_DIR"
    need_space "$ROWFERRY_CLUSTER_DIR" 200 ROWFERRY_CLUSTER_DIR
    find_jars
    same_port kafka.port "$ROWFERRY_KAFKA_PORT" broker-1
    same_port zookeeper.port "$ROWFERRY_ZOOKEEPER_PORT" zookeeper
    zookeeper_up
    broker_up 1 "$ROWFERRY_KAFKA_PORT"
}

same_port() { # FILE PORT NODE: a node that runs keeps its port
    if [ "$(recorded "$1" "$2")" != "$2" ] && node_pid "$3" >/dev/null; then
        die "$3 runs on port $(recorded "$1" ''), not $2" "stop it first: sh server_down.sh"
    fi
}

zookeeper_up() {
    if pid=$(node_pid zookeeper); then
        say "ZooKeeper runs already (process $pid)"
    else
        need_port "$ROWFERRY_ZOOKEEPER_PORT" ZooKeeper "another port with ROWFERRY_ZOOKEEPER_PORT"
        record version "$KAFKA_VERSION"
        record zookeeper.port "$ROWFERRY_ZOOKEEPER_PORT"
        cp "$TOP/app/cluster/log4j.properties" "$ROWFERRY_CLUSTER_DIR/"
        zookeeper_properties >"$ROWFERRY_CLUSTER_DIR/zookeeper.properties"
        start_node zookeeper 256m org.apache.zookeeper.server.quorum.QuorumPeerMain zookeeper.properties
        say "ZooKeeper starts (process $(node_pid zookeeper))"
    fi
    await_node zookeeper 'binding to port'
}

record() { printf '%s' "$2" >"$ROWFERRY_CLUSTER_DIR/$1"; }

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

broker_up() { # ID PORT
    if pid=$(node_pid "broker-$1"); then
        say "the broker runs already (process $pid)"
        if [ -n "${ROWFERRY_KAFKA_CONFIG:-}" ] &&
            ! broker_properties "$@" | cmp -s - "$ROWFERRY_CLUSTER_DIR/broker-$1.properties"; then
            die "the broker runs with settings other than ROWFERRY_KAFKA_CONFIG asks for" "stop it first: sh server_down.sh"
        fi
    else
        need_port "$2" Kafka "another port with ROWFERRY_KAFKA_PORT"
        await_forgotten "$1"
        record kafka.port "$2"
        broker_properties "$@" >"$ROWFERRY_CLUSTER_DIR/broker-$1.properties"
        start_node "broker-$1" 400m kafka.Kafka "broker-$1.properties"
        say "Kafka $KAFKA_VERSION starts (process $(node_pid "broker-$1"))"
    fi
    await_node "broker-$1" 'started \(kafka\.server\.KafkaServer\)'
}

# A broker that was killed stays registered until its session with ZooKeeper ends, and until then a new one may not register.
await_forgotten() { # ID
    end=$(($(date +%s) + 30))
    told=
    while zookeeper_dump | grep -qx "[[:space:]]*/brokers/ids/$1"; do
        [ -n "$told" ] || say "waiting until ZooKeeper has forgotten the broker that ended (some seconds)"
        told=yes
        [ "$(date +%s)" -lt "$end" ] || die "another broker is registered as number $1 in this ZooKeeper" "stop that broker"
        sleep 0.5
    done
}

zookeeper_dump() {
    run_class org.apache.zookeeper.client.FourLetterWordMain 127.0.0.1 "$ROWFERRY_ZOOKEEPER_PORT" dump
}

broker_properties() { # ID PORT
    cat <<END
broker.id=$1
log.dirs=broker-$1
listeners=PLAINTEXT://127.0.0.1:$2
advertised.listeners=PLAINTEXT://localhost:$2
zookeeper.connect=127.0.0.1:$ROWFERRY_ZOOKEEPER_PORT
zookeeper.session.timeout.ms=6000
zookeeper.connection.timeout.ms=20000
num.partitions=3
auto.create.topics.enable=true
delete.topic.enable=true
unclean.leader.election.enable=false
message.max.bytes=10485760
replica.fetch.max.bytes=10485760
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
${ROWFERRY_KAFKA_CONFIG:-}
END
}

# Runs a class of Kafka or ZooKeeper as a short-lived tool.
run_class() { # CLASS ARGUMENT...
    "$JAVA" -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto \
        "-Dlog4j.configuration=file:$TOP/app/cluster/tools-log4j.properties" -cp "$LIBS/*" "$@"
}

native_create_topic() { # TOPIC PARTITIONS REPLICATION-FACTOR
    case $KAFKA_VERSION in
    0.* | 1.* | 2.0.* | 2.1.*) where='--zookeeper zookeeper:2181' ;;
    *) where='--bootstrap-server localhost:9092' ;;
    esac
    once=--if-not-exists
    case $KAFKA_VERSION in 0.9.*) once= ;; esac # has no such option, and complains about a topic that exists
    # shellcheck disable=SC2086 # words, or none
    if ! printed=$(sh "$TOP/app/cluster/kafka-topics.sh" --create $once $where \
        --topic "$1" --partitions "$2" --replication-factor "$3" 2>&1); then
        case $once$printed in *"Topic \"$1\" already exists"*) return 0 ;; esac
        say "$printed"
        return 1
    fi
    say "$printed"
}

native_addresses() {
    say "  brokers      localhost:$ROWFERRY_KAFKA_PORT" \
        "  ZooKeeper    localhost:$ROWFERRY_ZOOKEEPER_PORT"
}

native_down() { # "data" to remove that as well
    native_settings
    for node in $(nodes); do
        if pid=$(node_pid "$node"); then
            stop_node "$node" "$pid"
            export STOPPED=yes
        fi
        rm -f "$ROWFERRY_CLUSTER_DIR/$node.pid"
    done
    rm -f "$ROWFERRY_CLUSTER_DIR/kafka.port" "$ROWFERRY_CLUSTER_DIR/zookeeper.port"
    if [ "${1:-}" = data ]; then native_remove; fi
}

stop_node() { # NODE PID
    kill "$2" 2>/dev/null
    kill -CONT "$2" 2>/dev/null # in case it is paused
    end=$(($(date +%s) + 20))
    while node_pid "$1" >/dev/null; do
        if [ "$(date +%s)" -ge "$end" ]; then
            say "$1 (process $2) does not end within 20 s: killing it"
            kill -KILL "$2" 2>/dev/null
            end=$((end + 20))
        fi
        sleep 0.1
    done
    say "$1 stopped (process $2)"
}

native_remove() {
    [ -d "$ROWFERRY_CLUSTER_DIR" ] || return 0
    (
        cd "$ROWFERRY_CLUSTER_DIR" || exit 1
        rm -rf broker-* zookeeper zookeeper.* log4j.properties version # only what is ours
    ) || exit 1
    rmdir "$ROWFERRY_CLUSTER_DIR" 2>/dev/null
    say "the data in $ROWFERRY_CLUSTER_DIR is removed"
}
