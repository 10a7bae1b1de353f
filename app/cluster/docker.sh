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

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose -f "$TOP/docker-compose.yml" "$@"
    else
        docker-compose -f "$TOP/docker-compose.yml" "$@"
    fi
}

# Does a container of this checkout exist, running or not?
docker_has_containers() { [ -n "$(compose ps -a -q 2>/dev/null)" ]; }

docker_up() {
    if ! docker_has_containers; then
        for port in 2181 9092 8080; do
            need_port "$port" 'the cluster in Docker' 'the native cluster on other ports (sh server_up.sh --help)'
        done
    fi
    if ! compose_up; then
        # A broker that comes back from a crash ends until ZooKeeper has forgotten the old one, which Compose takes for a failure.
        case $(docker inspect -f '{{.State.Status}}' kafka_server 2>/dev/null) in
        running | restarting) await_docker && compose_up ;;
        *) false ;;
        esac || die "Docker Compose could not start the cluster" \
            "the lines above say why; names of containers in use belong to another checkout: sh server_down.sh there"
    fi
    await_docker
}

compose_up() { compose up --remove-orphans --build -d; }

await_docker() {
    say 'waiting until the broker serves'
    end=$(($(date +%s) + 120))
    until [ "$(docker_health kafka_server)" = healthy ]; do
        if [ "$(date +%s)" -ge "$end" ]; then
            docker logs --tail 8 kafka_server 2>&1 | cut -c 1-300 | sed 's/^/  | /' >&2
            die "the container kafka_server does not get ready (health: $(docker_health kafka_server))" \
                "docker logs kafka_server and docker logs zookeeper tell more"
        fi
        sleep 0.5
    done
}

docker_health() { docker inspect -f '{{.State.Health.Status}}' "$1" 2>/dev/null || echo absent; }

docker_create_topic() { # TOPIC PARTITIONS REPLICATION-FACTOR
    docker exec kafka_server kafka-topics.sh --create --if-not-exists --bootstrap-server localhost:9092 \
        --topic "$1" --partitions "$2" --replication-factor "$3"
}

docker_addresses() {
    say '  brokers      localhost:9092 (from other containers: kafka_server:29092)' \
        '  ZooKeeper    localhost:2181' \
        '  Kafka UI     http://localhost:8080'
}

docker_down() { # "data" to remove that as well
    if docker_has_containers; then
        export STOPPED=yes
    elif [ -z "${1:-}" ]; then
        return
    fi
    COMPOSE_PROFILES=apps compose down --remove-orphans ${1:+-v} || die "Docker Compose could not stop the cluster" "the lines above say why"
}
