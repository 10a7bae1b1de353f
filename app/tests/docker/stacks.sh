# shellcheck shell=sh disable=SC2154 # to be sourced by docker.sh
# Every stack, with one broker and with three: up, rows there and back, a broker killed, down, up, down.

containers() { # STACK BROKERS
    case $1-$2 in
    wurstmeister-1) echo kafka_server kafka_ui zookeeper ;;
    wurstmeister-3) echo kafka_server kafka_server_2 kafka_server_3 kafka_ui zookeeper ;;
    confluent-1) echo broker kafka_ui zookeeper ;;
    confluent-3) echo broker broker_2 broker_3 kafka_ui zookeeper ;;
    kraft-1) echo kafka kafka_ui ;;
    kraft-3) echo kafka kafka_2 kafka_3 kafka_ui ;;
    esac
}

for stack in wurstmeister confluent kraft; do
    other=kraft
    [ "$stack" != kraft ] || other=confluent

    step "$stack: up, 1,000 rows there and back"
    afresh
    quietly sh server_up.sh --docker --stack "$stack"
    [ "$(ours | paste -sd ' ' -)" = "$(containers "$stack" 1)" ] || fail "these containers run: $(ours)"
    ship --fake 1000
    land
    compare 1000
    page

    step "$stack: called again it changes nothing, and another cluster beside it is refused"
    started=$(since)
    quietly sh server_up.sh --docker --stack "$stack"
    quietly sh server_up.sh --docker
    refused 'stop it first (sh server_down.sh,' sh server_up.sh --docker --stack "$other"
    refused 'stop it first (sh server_down.sh,' sh server_up.sh --docker --brokers 3
    [ "$started" = "$(since)" ] || fail "a container was started anew: $(since)"

    step "$stack: three brokers, beside the data of one"
    quietly sh server_down.sh --docker
    afresh
    quietly sh server_up.sh --docker --stack "$stack" --brokers 3
    [ "$(ours | paste -sd ' ' -)" = "$(containers "$stack" 3)" ] || fail "these containers run: $(ours)"
    await 120 in_sync "$stack"
    printf '%s\n' "$described" | grep -q 'min.insync.replicas=2' || fail "min.insync.replicas is not 2: $described"
    page

    step "$stack: a broker of three is killed; rows go on, and server_up.sh brings it back"
    ship --fake 1000
    second=$(ours | grep '_2$')
    docker kill "$second" >/dev/null
    ship --fake 1000
    land
    compare 2000
    [ "$(state Running "$second")" = false ] || fail "$second runs, so nothing was tried"
    quietly sh server_up.sh --docker
    await 120 in_sync "$stack"

    step "$stack: down, and up again with its data; down with -v removes all data"
    quietly sh server_down.sh --docker
    [ -z "$(ours)" ] || fail "containers are left: $(ours)"
    quietly sh server_up.sh --docker --stack "$stack" --brokers 3
    ship --fake 1000
    land
    compare 3000
    quietly sh server_down.sh --docker -v
    gone
done
refused 'through Docker a cluster has 3 brokers at most' sh server_up.sh --docker --brokers 4
