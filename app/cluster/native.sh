# shellcheck shell=sh
# The native cluster: Kafka brokers, and ZooKeeper for the stacks that have it, as plain Java processes. To be sourced after jars.sh.
# shellcheck source-path=SCRIPTDIR source=nodes.sh disable=SC1091
. "$TOP/app/cluster/nodes.sh"
# shellcheck source-path=SCRIPTDIR source=zookeeper.sh disable=SC1091
. "$TOP/app/cluster/zookeeper.sh"
# shellcheck source-path=SCRIPTDIR source=kraft.sh disable=SC1091
. "$TOP/app/cluster/kraft.sh"
# shellcheck source-path=SCRIPTDIR source=secure.sh disable=SC1091
. "$TOP/app/cluster/secure.sh"

# The folder of the cluster, which is all that tells whether one runs.
native_settings() {
    ROWFERRY_CLUSTER_DIR=${ROWFERRY_CLUSTER_DIR:-$TOP/data/cluster}
    case $ROWFERRY_CLUSTER_DIR in /*) ;; *) ROWFERRY_CLUSTER_DIR=$PWD/$ROWFERRY_CLUSTER_DIR ;; esac
    SECURE_DIR=$ROWFERRY_CLUSTER_DIR/keys
}

# Fills in what the options and the environment leave open: first what the cluster in the folder is made of, then the defaults.
cluster_settings() { # ASKED-STACK ASKED-BROKERS ASKED-SECURE: empty is not asked
    native_settings
    STACK=${1:-$(recorded stack wurstmeister)}
    BROKERS=${2:-$(recorded brokers 1)}
    same_as_recorded stack "$STACK" wurstmeister 'of the stack' 'call it without --stack'
    same_as_recorded brokers "$BROKERS" 1 'whose number of brokers is' 'call it without --brokers'
    SECURE=${3:-$(recorded secure '')}
    [ -z "$SECURE" ] || [ -e "$ROWFERRY_CLUSTER_DIR/secure" ] || [ ! -e "$ROWFERRY_CLUSTER_DIR/version" ] ||
        die "$ROWFERRY_CLUSTER_DIR holds a cluster without --secure" \
            "remove it with its data (sh server_down.sh -v), call it without --secure, or choose another folder with ROWFERRY_CLUSTER_DIR"
    KAFKA_VERSION=${KAFKA_VERSION:-$(recorded version "$(stack_version)")}
    check_number
    ROWFERRY_ZOOKEEPER_PORT=${ROWFERRY_ZOOKEEPER_PORT:-$(recorded zookeeper.port 2181)}
    check_port ROWFERRY_ZOOKEEPER_PORT "$ROWFERRY_ZOOKEEPER_PORT"
    broker_ports "${ROWFERRY_KAFKA_PORT:-$(recorded kafka.port 9092)}"
}

# The version of Kafka that STACK has unless told: for kraft the newest that is there both as an
# image and as jars.
stack_version() {
    case $STACK in
    confluent) echo 3.3.2 ;;
    kraft) echo 4.4.0 ;;
    *) echo 2.8.1 ;;
    esac
}

check_number() {
    case $KAFKA_VERSION in *[!0-9.]* | '' | .*)
        die "KAFKA_VERSION is '$KAFKA_VERSION', which is no version" "use one such as 2.8.1" ;;
    esac
}

# The folder holds one cluster, and what it is made of does not change while its data is there.
same_as_recorded() { # FILE VALUE DEFAULT WHAT WAY-OUT
    [ ! -e "$ROWFERRY_CLUSTER_DIR/version" ] || [ "$(recorded "$1" "$3")" = "$2" ] ||
        die "$ROWFERRY_CLUSTER_DIR holds a cluster $4 $(recorded "$1" "$3"), not $2" \
            "remove it with its data (sh server_down.sh -v), $5, or choose another folder with ROWFERRY_CLUSTER_DIR"
}

recorded() { # FILE DEFAULT
    cat "$ROWFERRY_CLUSTER_DIR/$1" 2>/dev/null || printf '%s' "$2"
}

record() { printf '%s' "$2" >"$ROWFERRY_CLUSTER_DIR/$1"; }

# A folder is ours when it holds our marker, and nothing is ever removed from another one. Folders from before there was a marker are
# known by the settings that were written into them.
MARKER=.rowferry-cluster
is_ours() {
    [ ! -f "$ROWFERRY_CLUSTER_DIR/$MARKER" ] || return 0
    [ -f "$ROWFERRY_CLUSTER_DIR/version" ] && {
        grep -qx 'log.dirs=broker-1' "$ROWFERRY_CLUSTER_DIR/broker-1.properties" ||
            grep -qx 'dataDir=./zookeeper' "$ROWFERRY_CLUSTER_DIR/zookeeper.properties"
    } 2>/dev/null
}

is_empty() { [ -z "$(ls -A "$ROWFERRY_CLUSTER_DIR" 2>/dev/null)" ]; }

# Makes the folder, and marks it. What others keep in a folder never gets mixed with what is removed one day.
take_folder() {
    is_ours || is_empty || die "$ROWFERRY_CLUSTER_DIR is not empty, and no cluster of ours is in it" \
        "choose a folder for the cluster alone with ROWFERRY_CLUSTER_DIR"
    { mkdir -p "$ROWFERRY_CLUSTER_DIR" && record "$MARKER" ''; } 2>/dev/null ||
        die "cannot make the folder $ROWFERRY_CLUSTER_DIR" "choose another one with ROWFERRY_CLUSTER_DIR"
}

# Sets ROWFERRY_KAFKA_PORT to a port for each broker. A single one stands for itself and those that follow it.
broker_ports() { # PORT or PORT,PORT...
    case $1 in
    *,*)
        count=$(($(printf '%s' "$1" | tr -dc , | wc -c) + 1))
        [ "$count" -eq "$BROKERS" ] || die "ROWFERRY_KAFKA_PORT is '$1', which is $count ports, and the cluster is to have $BROKERS broker(s)" \
            "name a port for each or only the first one, or use --brokers $count" ;;
    *) check_port ROWFERRY_KAFKA_PORT "$1" ;;
    esac
    ROWFERRY_KAFKA_PORT=
    for number in $(numbers); do
        case $1 in
        *,*) port=$(nth "$number" "$1") ;;
        *) port=$(($1 + number - 1)) ;;
        esac
        check_port "ROWFERRY_KAFKA_PORT for broker $number" "$port"
        ! among "$port" "$ROWFERRY_KAFKA_PORT" || die "ROWFERRY_KAFKA_PORT is '$1', which names $port twice" "give each broker a port of its own"
        ROWFERRY_KAFKA_PORT=${ROWFERRY_KAFKA_PORT:+$ROWFERRY_KAFKA_PORT,}$port
    done
}

check_port() { # SETTING VALUE
    case $2 in
    *[!0-9]* | '' | 0* | ??????*) ;;
    *) [ "$2" -gt 65535 ] || return 0 ;;
    esac
    die "$1 is '$2', which is no port" "use a number from 1 to 65535"
}

numbers() { # of all brokers
    number=1
    while [ "$number" -le "$BROKERS" ]; do
        echo "$number"
        number=$((number + 1))
    done
}

nth() { printf '%s' "$2" | cut -d , -f "$1"; } # NUMBER A,B,C

among() { case ",$2," in *",$1,"*) ;; *) false ;; esac; } # ITEM A,B,C

broker_port() { nth "$1" "$ROWFERRY_KAFKA_PORT"; } # NUMBER

native_up() {
    cluster_settings "${stack:-}" "${brokers:-}" "${secure:-}"
    check_version
    check_secure
    find_java
    take_folder
    need_space "$ROWFERRY_CLUSTER_DIR" 200 ROWFERRY_CLUSTER_DIR
    find_jars
    need_ports
    record version "$KAFKA_VERSION"
    record stack "$STACK"
    record brokers "$BROKERS"
    [ -z "$SECURE" ] || record secure "$SECURE"
    record kafka.port "$ROWFERRY_KAFKA_PORT"
    cp "$TOP/app/cluster/log4j.properties" "$ROWFERRY_CLUSTER_DIR/"
    if has_zookeeper; then
        record zookeeper.port "$ROWFERRY_ZOOKEEPER_PORT"
        zookeeper_up
    else
        choose_ports controller.port 100 "$ROWFERRY_KAFKA_PORT"
    fi
    if [ -n "$SECURE" ]; then
        make_keys
        choose_ports secure.port 200 "$ROWFERRY_KAFKA_PORT,$(recorded controller.port '')"
    fi
    brokers_up
    [ -z "$SECURE" ] || secure_up "$(native_secure_ports)" "$SECURE_DIR/kafka" \
        sh "$TOP/app/cluster/kafka-configs.sh" --bootstrap-server localhost:9092
}

has_zookeeper() { [ "$STACK" != kraft ]; }

check_version() {
    same_as_recorded version "$KAFKA_VERSION" '' 'of Kafka' 'leave KAFKA_VERSION unset'
    case $STACK-$KAFKA_VERSION in
    kraft-[4-9] | kraft-[4-9].* | kraft-[1-9][0-9]*) ;;
    *-[4-9] | *-[4-9].* | *-[1-9][0-9]*)
        die "KAFKA_VERSION is $KAFKA_VERSION, which knows no ZooKeeper, and --stack $STACK has one" \
            "use 3.9.1 or older for it, or --stack kraft" ;;
    kraft-[0-2].* | kraft-3.[0-2] | kraft-3.[0-2].*)
        die "KAFKA_VERSION is $KAFKA_VERSION, which needs ZooKeeper, and --stack kraft has none" \
            "use 3.3 or later for it, or --stack wurstmeister, which runs any" ;;
    esac
}

# Every node that does not run needs its port, and one that runs keeps it.
need_ports() {
    for number in $(numbers); do
        need_port_for "broker-$number" "$(broker_port "$number")" "$(nth "$number" "$(recorded kafka.port '')")" ROWFERRY_KAFKA_PORT
    done
    if has_zookeeper; then
        need_port_for zookeeper "$ROWFERRY_ZOOKEEPER_PORT" "$(recorded zookeeper.port '')" ROWFERRY_ZOOKEEPER_PORT
    fi
}

need_port_for() { # NODE PORT RECORDED-PORT SETTING
    if ! node_pid "$1" >/dev/null; then
        need_port "$2" "$1" "another port with $4"
    elif [ "$3" != "$2" ]; then
        die "$1 runs on port $3, not $2" "stop it first: sh server_down.sh"
    fi
}

# Starts the brokers that do not run, together, and waits for all.
brokers_up() {
    missing=
    for number in $(numbers); do
        file=$ROWFERRY_CLUSTER_DIR/broker-$number.properties
        if pid=$(node_pid "broker-$number"); then
            say "broker $number runs already (process $pid)"
            [ -z "${ROWFERRY_KAFKA_CONFIG:-}" ] || broker_properties "$number" | cmp -s - "$file" ||
                die "broker $number runs with settings other than ROWFERRY_KAFKA_CONFIG asks for" "stop it first: sh server_down.sh"
        else
            broker_properties "$number" >"$file"
            missing="$missing $number"
        fi
    done
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086 # numbers
        if has_zookeeper; then await_forgotten $missing; else format_storage $missing; fi
    fi
    for number in $missing; do
        start_node "broker-$number" 400m kafka.Kafka "broker-$number.properties"
        say "broker $number starts: Kafka $KAFKA_VERSION (process $(node_pid "broker-$number"))"
    done
    for number in $(numbers); do
        await_node "broker-$number" 'started \(kafka\.server\.Kafka(Raft)?Server\)'
    done
    ! has_zookeeper || await_registered
}

# No controlled shutdown: all brokers stop together, and each would look in vain for another one to lead its partitions.
broker_properties() ( # NUMBER
    replicas=$((BROKERS < 3 ? BROKERS : 3))
    in_sync=$((BROKERS < 3 ? 1 : 2))
    if has_zookeeper; then zookeeper_broker_properties "$1"; else kraft_broker_properties "$1" "$replicas" "$in_sync"; fi
    cat <<END
advertised.listeners=PLAINTEXT://localhost:$(broker_port "$1")${SECURE:+,SECURE://localhost:$(secure_port "$1")}
log.dirs=broker-$1
num.partitions=3
default.replication.factor=$replicas
min.insync.replicas=$in_sync
auto.create.topics.enable=true
delete.topic.enable=true
controlled.shutdown.enable=false
unclean.leader.election.enable=false
message.max.bytes=10485760
replica.fetch.max.bytes=10485760
offsets.topic.replication.factor=$replicas
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
${ROWFERRY_KAFKA_CONFIG:-}
END
)

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

native_describe_group() { # GROUP
    new=
    case $KAFKA_VERSION in 0.*) new=--new-consumer ;; esac
    # shellcheck disable=SC2086 # a word, or none
    sh "$TOP/app/cluster/kafka-consumer-groups.sh" $new --bootstrap-server localhost:9092 --describe --group "$1" 2>&1
}

native_addresses() {
    say "  brokers      $(printf '%s' "$ROWFERRY_KAFKA_PORT" | sed 's/^/localhost:/; s/,/,localhost:/g')"
    ! has_zookeeper || say "  ZooKeeper    localhost:$ROWFERRY_ZOOKEEPER_PORT"
    say '  Kafka UI     only through Docker (--docker): it comes as an image'
}

native_secure_ports() { recorded secure.port ''; }

native_down() { # "data" to remove that as well
    native_settings
    if ! is_ours; then
        [ "${1:-}" != data ] || is_empty || die "$ROWFERRY_CLUSTER_DIR holds no cluster of ours, and nothing in it is removed" \
            "name the cluster's folder with ROWFERRY_CLUSTER_DIR, or remove by hand what is to go"
        return 0
    fi
    # shellcheck disable=SC2046 # names
    stop_nodes $(nodes | grep broker)
    stop_nodes zookeeper
    (cd "$ROWFERRY_CLUSTER_DIR" 2>/dev/null && rm -f kafka.port zookeeper.port controller.port secure.port)
    if [ "${1:-}" = data ]; then native_remove; fi
}

native_remove() {
    (
        cd "$ROWFERRY_CLUSTER_DIR" || exit 1
        rm -rf broker-[1-9] broker-[1-9].* zookeeper zookeeper.* log4j.properties version stack brokers secure cluster.id || exit 1
        remove_keys
        rm -f "$MARKER" # last: what is cut short is still known
    ) || exit 1
    rmdir "$ROWFERRY_CLUSTER_DIR" 2>/dev/null
    say "the data in $ROWFERRY_CLUSTER_DIR is removed"
}
