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

# Each kind of cluster is a Compose project of its own, with networks and volumes of its own. The
# default kind has the name that Compose itself takes, so that a plain `docker compose up` means it
# too. Another version of Kafka has data of its own as well: what a new one has written an old one
# can't read.
project() { # STACK BROKERS VERSION SECURE: the last one is empty or yes
    base=$(project_base)
    case $1-$2-$3 in
    wurstmeister-1-*) printf '%s' "$base" ;;
    kraft-*-3.9.1) printf '%s_%s_%s%s' "$base" "$1" "$2" "${4:+_secure}" ;; # what the stack was made of when it was new
    kraft-*) printf '%s_%s_%s_%s%s' "$base" "$1" "$2" "$(printf '%s' "$3" | tr . -)" "${4:+_secure}" ;;
    *) printf '%s_%s_%s' "$base" "$1" "$2" ;;
    esac
}

project_base() {
    base=${COMPOSE_PROJECT_NAME:-$(basename "$TOP")}
    base=$(printf '%s' "$base" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9_-' | sed 's/^[_-]*//')
    printf '%s' "${base:-rowferry}"
}

# What a project of ours was made of: STACK BROKERS VERSION SECURE.
kind_of() { # PROJECT
    rest=${1#"$(project_base)"}
    case $rest in
    '') echo wurstmeister 1 2.8.1 ;;
    _wurstmeister_[23]) echo "wurstmeister ${rest##*_} 2.8.1" ;;
    _confluent_[123]) echo "confluent ${rest##*_} 3.3.2" ;;
    _kraft_[123]*)
        rest=${rest#_kraft_} tls=
        case $rest in *_secure) tls=yes rest=${rest%_secure} ;; esac
        number=${rest%"${rest#?}"} version=${rest#?}
        case $version in
        '') version=3.9.1 ;;
        _*[!0-9-]* | _ | [!_]*) return 0 ;;
        *) version=$(printf '%s' "${version#_}" | tr - .) ;;
        esac
        echo "kraft $number $version${tls:+ $tls}" ;;
    esac
}

compose() { # ARGUMENT...: for the cluster of STACK, BROKERS, KAFKA_VERSION and SECURE
    [ -z "$SECURE" ] || set -- -f "$TOP/app/cluster/$STACK-secure.yml" "$@"
    case $STACK in
    wurstmeister) set -- -f "$TOP/docker-compose.yml" "$@" ;;
    *) set -- -f "$TOP/app/cluster/$STACK.yml" "$@" ;;
    esac
    set -- --project-directory "$TOP" -p "$(project "$STACK" "$BROKERS" "$KAFKA_VERSION" "$SECURE")" "$@"
    # What the file of the stack kraft takes from here.
    ROWFERRY_KAFKA_VERSION=$KAFKA_VERSION ROWFERRY_KEYS=$SECURE_DIR/kafka
    export ROWFERRY_KAFKA_VERSION ROWFERRY_KEYS
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    else
        docker-compose "$@"
    fi
}

# The clusters of this checkout whose containers or volumes (the COMMAND lists them) are here, a
# line each: STACK BROKERS VERSION SECURE.
docker_kinds() { # COMMAND...
    "$@" --format '{{.Label "com.docker.compose.project"}}' | sort -u | while read -r name; do
        case $name in "$(project_base)"*) kind_of "$name" ;; esac
    done
}

# Sets STACK, BROKERS, KAFKA_VERSION and SECURE to what was asked for, and where nothing was, to
# what is here, running or not, or to the default.
docker_settings() {
    here=$(docker_kinds docker ps -a | head -n 1)
    read -r STACK BROKERS version SECURE <<END
$here
END
    STACK=${stack:-${STACK:-wurstmeister}} BROKERS=${brokers:-${BROKERS:-1}} SECURE=${secure:-$SECURE}
    [ -z "$stack" ] || case $here in "$stack "*) ;; *) version= ;; esac
    KAFKA_VERSION=${KAFKA_VERSION:-${version:-$(stack_version)}}
    SECURE_DIR=$(docker_keys)
    check_number
    [ "$BROKERS" -le 3 ] || die "through Docker a cluster has 3 brokers at most, not $BROKERS" "use --brokers 3, or --native"
    asked="$STACK $BROKERS $KAFKA_VERSION${SECURE:+ $SECURE}"
    [ "${here:-$asked}" = "$asked" ] ||
        die "another cluster is here: $(named "$here"), not $(named "$asked")" \
            "stop it first (sh server_down.sh, which leaves its data), or leave --stack and --brokers out to go on with it"
    check_image
    check_secure
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

# A kind of cluster by the options that ask for it.
named() { # "STACK BROKERS VERSION SECURE"
    printf '%s\n' "$1" | awk '{
        printf "--stack %s --brokers %s%s (Kafka %s)", $1, $2, ($4 == "yes" ? " --secure" : ""), $3
    }'
}

# An image has its version of Kafka; only the stack kraft has one image for each.
check_image() {
    case $STACK-$KAFKA_VERSION in
    kraft-[0-2] | kraft-[0-2].* | kraft-3 | kraft-3.[0-6] | kraft-3.[0-6].*)
        die "KAFKA_VERSION is $KAFKA_VERSION, and the images of --stack kraft begin with 3.7" "use 3.7.0 or later, or --native" ;;
    kraft-*) ;;
    *)
        [ "$KAFKA_VERSION" = "$(stack_version)" ] ||
            die "KAFKA_VERSION is $KAFKA_VERSION, and the image of --stack $STACK is Kafka $(stack_version)" \
                "leave KAFKA_VERSION unset, or use --native" ;;
    esac
}

# Where the keys of the cluster in Docker lie: beside the folder of the native one, which can be
# there as well.
docker_keys() { printf '%s-docker/keys' "$ROWFERRY_CLUSTER_DIR"; }

# The brokers' containers and their ports on this machine, a line each.
docker_brokers() { printf '%s\n' "$BROKER" "${BROKER}_2" "${BROKER}_3" | head -n "$BROKERS"; }
docker_ports() { printf '%s\n' 9092 9093 9094 | head -n "$BROKERS"; }
docker_secure_ports() { printf '%s\n' 9292 9293 9294 | head -n "$BROKERS" | paste -sd , -; }

docker_up() {
    docker_settings
    if [ -z "$here" ]; then
        zookeeper=2181
        [ "$STACK" != kraft ] || zookeeper=
        for port in $zookeeper $(docker_ports) ${SECURE:+$(docker_secure_ports | tr , ' ')} 8080; do
            need_port "$port" 'the cluster in Docker' 'the native cluster on other ports (sh server_up.sh --help)'
        done
    fi
    if [ -n "$SECURE" ]; then
        make_keys
        chmod -R go+rX "$SECURE_DIR/kafka" # the user in the container is another one; only there the folder above is not in the way
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
    [ -z "$SECURE" ] || secure_up "$(docker_secure_ports)" /etc/kafka/keys docker_tool kafka-configs
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
    native_settings
    SECURE_DIR=$(docker_keys)
    printf '%s\n' "$kinds" | sort -u | while read -r STACK BROKERS KAFKA_VERSION SECURE; do
        [ -z "$STACK" ] || compose down --remove-orphans ${1:+-v} </dev/null || exit 1
    done || die "Docker Compose could not stop the cluster" "the lines above say why"
    [ -z "${1:-}" ] || remove_keys
}
