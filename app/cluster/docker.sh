# shellcheck shell=sh
# The cluster through Docker Compose, and the choice between that and the native one. To be sourced after native.sh.

# What Docker has to offer here: "ready", "absent" (no command or no engine), "forbidden" (an engine that this user may not
# use) or "no compose".
docker_state() {
    have docker || { echo absent && return; }
    if ! answer=$(docker info 2>&1 >/dev/null); then
        case $answer in *[Pp]'ermission denied'*) echo forbidden ;; *) echo absent ;; esac
    elif docker compose version >/dev/null 2>&1 || docker-compose version >/dev/null 2>&1; then
        echo ready
    else
        echo 'no compose'
    fi
}

# Ends with an error unless Docker can be used.
need_docker() { # STATE
    case $1 in
    absent)
        if have docker; then
            die "no Docker engine answers: $(docker info 2>&1 >/dev/null | tail -n 1 | cut -c 1-200)" \
                "start it (systemctl start docker, or Docker Desktop), or use: sh ${0##*/} --native"
        fi
        die "no docker command here" "install Docker, or use: sh ${0##*/} --native" ;;
    forbidden)
        die "a Docker engine is here, but this user may not use it" \
            "sudo usermod -aG docker $(id -un), then log in again; or use: sh ${0##*/} --native" ;;
    'no compose')
        die "a Docker engine answers, but neither 'docker compose' nor docker-compose is here" \
            "install it (Debian, Ubuntu: apt install docker-compose, or docker-compose-plugin), or use: sh ${0##*/} --native" ;;
    esac
}

# Sets `way` for server_up.sh, unless an option has set it, and says which and why.
choose_way() {
    native_settings
    if [ "$way" = docker ]; then
        need_docker "$(docker_state)"
        say 'Through Docker, as asked.'
    elif [ "$way" = native ]; then
        say 'Natively, as asked.'
    elif native_runs; then
        way=native
        say "Natively: a native cluster runs already from $ROWFERRY_CLUSTER_DIR."
    else
        state=$(docker_state)
        case $state in
        absent) way=native && say 'Natively: no Docker engine answers here.' ;;
        *) need_docker "$state" && way=docker && say 'Through Docker: an engine answers here.' ;;
        esac
    fi
}

# Each kind of cluster is a Compose project of its own, with networks and volumes of its own. The default kind has the name
# that Compose itself takes, so that a plain `docker compose up` means it too.
project() { # STACK BROKERS
    base=${COMPOSE_PROJECT_NAME:-$(basename "$TOP")}
    base=$(printf '%s' "$base" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9_-' | sed 's/^[_-]*//')
    case $1-$2 in
    wurstmeister-1) printf '%s' "${base:-rowferry}" ;;
    *) printf '%s_%s_%s' "${base:-rowferry}" "$1" "$2" ;;
    esac
}

compose() { # ARGUMENT...: for the cluster of STACK and BROKERS
    case $STACK in
    wurstmeister) set -- -f "$TOP/docker-compose.yml" "$@" ;;
    *) set -- -f "$TOP/app/cluster/$STACK.yml" "$@" ;;
    esac
    set -- --project-directory "$TOP" -p "$(project "$STACK" "$BROKERS")" "$@"
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    else
        docker-compose "$@"
    fi
}

# The clusters of this checkout whose containers or volumes (the COMMAND lists them) are here, a line each: STACK BROKERS.
docker_kinds() { # COMMAND...
    labels=$("$@" --format '{{.Label "com.docker.compose.project"}}')
    for kind in 'wurstmeister 1' 'wurstmeister 2' 'wurstmeister 3' 'confluent 1' 'confluent 2' 'confluent 3' 'kraft 1' 'kraft 2' 'kraft 3'; do
        ! printf '%s\n' "$labels" | grep -qxF "$(project "${kind% *}" "${kind#* }")" || echo "$kind"
    done
}

# Sets STACK and BROKERS to what was asked for, and where nothing was, to what is here, running or not, or to the default.
docker_settings() {
    here=$(docker_kinds docker ps -a | head -n 1)
    STACK=${stack:-${here% *}}
    BROKERS=${brokers:-${here#* }}
    STACK=${STACK:-wurstmeister} BROKERS=${BROKERS:-1}
    [ "$BROKERS" -le 3 ] || die "through Docker a cluster has 3 brokers at most, not $BROKERS" "use --brokers 3, or --native"
    [ "${here:-$STACK $BROKERS}" = "$STACK $BROKERS" ] ||
        die "another cluster is here: --stack ${here% *} --brokers ${here#* }, not --stack $STACK --brokers $BROKERS" \
            "stop it first (sh server_down.sh, which leaves its data), or leave --stack and --brokers out to go on with it"
    case $STACK in
    confluent) BROKER=broker ;;
    kraft) BROKER=kafka ;;
    *) BROKER=kafka_server ;;
    esac
    # What the Compose files take from here.
    COMPOSE_PROFILES=brokers_$BROKERS
    ROWFERRY_REPLICAS=$BROKERS
    ROWFERRY_IN_SYNC=$((BROKERS < 3 ? 1 : 2))
    ROWFERRY_VOTERS=$(docker_brokers | awk '{ printf "%s%d@%s:29093", (NR > 1 ? "," : ""), NR, $0 }')
    export COMPOSE_PROFILES ROWFERRY_REPLICAS ROWFERRY_IN_SYNC ROWFERRY_VOTERS
}

# The brokers' containers and their ports on this machine, a line each.
docker_brokers() { printf '%s\n' "$BROKER" "${BROKER}_2" "${BROKER}_3" | head -n "$BROKERS"; }
docker_ports() { printf '%s\n' 9092 9093 9094 | head -n "$BROKERS"; }

docker_up() {
    docker_settings
    if [ -z "$here" ]; then
        zookeeper=2181
        [ "$STACK" != kraft ] || zookeeper=
        for port in $zookeeper $(docker_ports) 8080; do
            need_port "$port" 'the cluster in Docker' 'the native cluster on other ports (sh server_up.sh --help)'
        done
    fi
    if ! compose_up; then
        # A broker that comes back from a crash ends until ZooKeeper has forgotten the old one, which Compose takes for a failure.
        case $(docker inspect -f '{{.State.Status}}' "$BROKER" 2>/dev/null) in
        running | restarting) await_docker && compose_up ;;
        *) false ;;
        esac || die "Docker Compose could not start the cluster" \
            "the lines above say why; names of containers in use belong to another checkout: sh server_down.sh there"
    fi
    await_docker
}

compose_up() { compose up --remove-orphans --build -d; }

await_docker() {
    say 'waiting until the cluster serves'
    end=$(($(date +%s) + 180))
    for broker in $(docker_brokers); do
        until [ "$(docker_health "$broker")" = healthy ]; do
            if [ "$(date +%s)" -ge "$end" ]; then
                docker logs --tail 8 "$broker" 2>&1 | cut -c 1-300 | sed 's/^/  | /' >&2
                die "the container $broker does not get ready (health: $(docker_health "$broker"))" \
                    "docker logs $broker tells more$([ "$STACK" = kraft ] || echo ', and docker logs zookeeper')"
            fi
            sleep 0.5
        done
    done
}

docker_health() { docker inspect -f '{{.State.Health.Status}}' "$1" 2>/dev/null || echo absent; }

# One of Kafka's tools, in the container of the first broker.
docker_tool() { # NAME ARGUMENT...
    case $STACK in
    confluent) tool=$1 ;;
    kraft) tool=/opt/kafka/bin/$1.sh ;;
    *) tool=$1.sh ;;
    esac
    shift
    docker exec "$BROKER" "$tool" --bootstrap-server "$BROKER:29092" "$@"
}

docker_create_topic() { # TOPIC PARTITIONS REPLICATION-FACTOR
    end=$(($(date +%s) + 30))
    until made=$(docker_tool kafka-topics --create --if-not-exists --topic "$1" --partitions "$2" --replication-factor "$3" 2>&1); do
        # A broker can serve a moment before the controller counts it.
        case $made in *InvalidReplicationFactorException*) [ "$3" -le "$BROKERS" ] && [ "$(date +%s)" -lt "$end" ] ;; *) false ;; esac ||
            { say "$made" && return 1; }
    done
    say "$made"
}

docker_describe_group() { docker_tool kafka-consumer-groups --describe --group "$1" 2>&1; }

docker_addresses() {
    say "  brokers      $(docker_ports | sed 's/^/localhost:/' | paste -sd , -)" \
        "               $(docker_brokers | sed 's/$/:29092/' | paste -sd , -) from other containers and with docker exec"
    [ "$STACK" = kraft ] || say '  ZooKeeper    localhost:2181'
    say '  Kafka UI     http://localhost:8080'
}

docker_down() { # "data" to remove that as well
    running=$(docker_kinds docker ps -a)
    [ -z "$running" ] || export STOPPED=yes
    kinds=$running${1:+"
$(docker_kinds docker volume ls)"}
    export COMPOSE_PROFILES=apps,brokers_3
    printf '%s\n' "$kinds" | sort -u | while read -r STACK BROKERS; do
        [ -z "$STACK" ] || compose down --remove-orphans ${1:+-v} </dev/null || exit 1
    done || die "Docker Compose could not stop the cluster" "the lines above say why"
}
