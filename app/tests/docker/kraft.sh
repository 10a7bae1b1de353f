# shellcheck shell=sh disable=SC2154 # to be sourced by docker.sh
# Kafka 4, with TLS and a login, and with three brokers one of which is lost; then 3.9.

keys=data/cluster-docker/keys

secure_up() { # ARGUMENT...: sets `pasted` to the options that are printed
    quietly sh server_up.sh --docker --stack kraft --secure "$@"
    pasted=$(sed -n 's/^  \(--brokers \)/\1/p' "$work/last.log")
    certificate=$(sed -n 's/^  \(--tls-cert \)/\1/p' "$work/last.log")
}

# Adds rows and takes them to the sink.
rows=0
carry() { # OPTION...: as a user pastes them, in one word or more
    rows=$((rows + 100))
    eval "ship --fake 100 $*"
    eval "land $*"
    compare "$rows"
}
begin_anew() { afresh && rows=0; }

image_is() { [ "$(docker inspect -f '{{.Config.Image}}' kafka)" = "apache/kafka:$1" ] || fail 'it is another image'; }

# Who leads the controllers.
controller() { tool kraft kafka-metadata-quorum describe --status | sed -n 's/^LeaderId: *//p'; }

step 'kraft: up with TLS and a login; the options to paste are told'
secure_up
[ "$pasted" = "--brokers localhost:9292 --tls --tls-ca $PWD/$keys/ca.pem --sasl scram-sha-512 --sasl-user rowferry --sasl-password-file $PWD/$keys/password" ] ||
    fail "these are the options to paste: $pasted"
[ "$(ours | paste -sd ' ' -)" = 'kafka kafka_ui' ] || fail "these containers run: $(ours)"
image_is 4.4.0
[ "$(stat -c %a "$keys") $(stat -c %a "$keys/password")" = '700 600' ] || fail 'others can read the keys'
password=$(cat "$keys/password")
! docker inspect kafka | grep -qF "$password" || fail 'the password stands in the settings of the container'

step 'kraft: rows there and back, by TLS with a certificate of the client and without, and by the plain listener'
carry "$pasted"
carry "$pasted" "$certificate"
carry
carry "$(printf '%s' "$pasted" | sed 's/scram-sha-512/plain/')"
login=${pasted%--sasl-password-file *}
eval "refused 'the user or the password is wrong' env ROWFERRY_SASL_PASSWORD=wrong cargo run --quiet --bin producer -- --source '$work/source.db' $login"

step 'kraft: SCRAM, by the tools of the container'
docker exec kafka /opt/kafka/bin/kafka-topics.sh --list --bootstrap-server localhost:9292 \
    --command-config /etc/kafka/keys/client.properties | grep -qx users || fail 'the topic is not listed'

step 'kraft: called again it changes nothing, and another version or stack beside it is refused'
started=$(since)
quietly sh server_up.sh --docker
quietly sh server_up.sh --docker --stack kraft --secure
refused 'another cluster is here: --stack kraft --brokers 1 --secure (Kafka 4.4.0), not --stack kraft --brokers 1 --secure (Kafka 3.9.1)' \
    env KAFKA_VERSION=3.9.1 sh server_up.sh --docker --stack kraft
refused 'stop it first' sh server_up.sh --docker --stack confluent
[ "$started" = "$(since)" ] || fail "a container was started anew: $(since)"
[ "$password" = "$(cat "$keys/password")" ] || fail 'the password is another one'

step 'kraft: down, and up again with its data and keys; down with -v removes both'
quietly sh server_down.sh --docker
secure_up
[ "$password" = "$(cat "$keys/password")" ] || fail 'the password is another one'
rm -f "$work"/sink.db*
eval "land $pasted"
compare "$rows"
carry "$pasted"
quietly sh server_down.sh --docker -v
gone
[ ! -e "$keys" ] || fail 'the keys are still there'

step 'kraft: what cannot be is refused'
refused '--secure needs --stack kraft' sh server_up.sh --docker --secure
refused 'the image of --stack confluent is Kafka 3.3.2' env KAFKA_VERSION=3.9.1 sh server_up.sh --docker --stack confluent
refused 'begin with 3.7' env KAFKA_VERSION=3.6.2 sh server_up.sh --docker --stack kraft

step 'kraft: three brokers; the controller is killed, and rows go on by TLS'
begin_anew
secure_up --brokers 3
await 120 in_sync kraft
carry "$pasted"
lost=$(controller)
case $lost in 1) name=kafka ;; [23]) name=kafka_$lost ;; *) fail "the controller is '$lost'" ;; esac
docker kill "$name" >/dev/null
carry "$pasted"
[ "$(state Running "$name")" = false ] || fail "$name runs, so nothing was tried"
quietly sh server_up.sh --docker
await 120 in_sync kraft
carry "$pasted"
quietly sh server_down.sh --docker -v
gone

step 'kraft: Kafka 3.9; rows there and back, by the plain listener and by TLS'
begin_anew
export KAFKA_VERSION=3.9.1
secure_up
image_is 3.9.1
carry
carry "$pasted"
quietly sh server_down.sh --docker -v
gone
unset KAFKA_VERSION
