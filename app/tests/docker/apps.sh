# shellcheck shell=sh disable=SC2154 # to be sourced by docker.sh
# The profile `apps`: the whole ferry in containers.

apps_up() {
    if docker compose version >/dev/null 2>&1; then
        quietly docker compose --profile apps up --build -d
    else
        quietly docker-compose --profile apps up --build -d
    fi
    for name in $everything; do await 60 healthy "$name"; done
}

landed() { docker logs consumer 2>/dev/null | grep -c '"row":{"id":' || true; }
landed_at_least() { [ "$(landed)" -ge "$1" ]; }

# Stops the producer, and compares once all of its rows have landed.
equal() {
    quietly docker stop producer
    [ "$(state ExitCode producer)" -eq 0 ] || fail "the producer ended with exit code $(state ExitCode producer)"
    await 20 docker exec consumer verify >"$work/verify.log" 2>&1
    rows=$(sed -n 's/^users: \([0-9]*\) rows*, equal$/\1/p' "$work/verify.log" | tail -n 1)
    [ -n "$rows" ] || fail 'verify does not say how many rows are equal'
    echo "users: $rows rows, equal"
}

everything='zookeeper kafka_server kafka_ui producer consumer'

step 'apps: cluster, page, producer and consumer go up with one command (the image is built where it is not there)'
apps_up
[ "$(ours | paste -sd ' ' -)" = 'consumer kafka_server kafka_ui producer zookeeper' ] || fail "these containers run: $(ours)"
page

step 'apps: the programs run without root, in an image without a compiler'
[ "$(docker exec producer id -u)" -ne 0 ] || fail 'the producer runs as root'
! docker exec producer sh -c 'command -v cc || command -v cargo' || fail 'the image holds a compiler'

step 'apps: a user is added every three seconds, and lands'
await 30 landed_at_least 2
before=$(landed)
sleep 12
more=$(($(landed) - before))
{ [ "$more" -ge 3 ] && [ "$more" -le 5 ]; } || fail "$more users landed within 12 s"

step 'apps: server_up.sh leaves them alone'
started=$(since)
quietly sh server_up.sh --docker
[ "$started" = "$(since)" ] || fail "a container was started anew: $(since)"

step 'apps: what was added has landed'
equal
[ "$rows" -ge 5 ] || fail "only $rows rows"
first=$rows

step 'apps: down and up again, the databases are still there'
quietly sh server_down.sh --docker
[ -z "$(ours)" ] || fail "containers are left: $(ours)"
apps_up
await 30 landed_at_least 2
equal
[ "$rows" -gt "$first" ] || fail "there were $first rows, and now there are $rows"

quietly sh server_down.sh --docker -v
gone
