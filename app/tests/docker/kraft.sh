# shellcheck shell=sh disable=SC2154 # to be sourced by docker.sh
# Kafka 4, with TLS and a login, and with three brokers one of which is lost. The ferry cannot speak
# to it: records go there and back through other clients.

keys=data/cluster-docker/keys

# Writes and reads as many records as there are arguments, by kcat from this machine.
passes() { # RECORD...: with the options of kcat in $options
    # shellcheck disable=SC2086 # words
    printf '%s\n' "$@" | kcat $options -P -t users -p 0 -X acks=all >"$work/last.log" 2>&1 || return 1
    # shellcheck disable=SC2086 # words
    read_back=$(kcat $options -C -e -q -t users -p 0 -o "-$#" 2>"$work/last.log") || return 1
    [ "$read_back" = "$(printf '%s\n' "$@")" ]
}

# Who leads the controllers.
controller() { tool kraft kafka-metadata-quorum describe --status | sed -n 's/^LeaderId: *//p'; }

command -v kcat >/dev/null || fail 'kcat is missing: apt-get install kcat'

step 'kraft: up with TLS and a login; the options to paste are told'
quietly sh server_up.sh --docker --stack kraft --secure
grep -qF -- "--brokers localhost:9292 --tls --tls-ca $PWD/$keys/ca.pem --sasl scram-sha-512 --sasl-user rowferry --sasl-password-file $PWD/$keys/password" "$work/last.log" ||
    fail 'no options to paste'
[ "$(ours | paste -sd ' ' -)" = 'kafka kafka_ui' ] || fail "these containers run: $(ours)"
[ "$(docker inspect -f '{{.Config.Image}}' kafka)" = apache/kafka:4.4.0 ] || fail 'it is another image'
[ "$(stat -c %a "$keys") $(stat -c %a "$keys/password")" = '700 600' ] || fail 'others can read the keys'
password=$(cat "$keys/password")
! docker inspect kafka | grep -qF "$password" || fail 'the password stands in the settings of the container'

step 'kraft: records there and back by TLS, with a certificate of the client and without; a wrong password is refused'
secure="-b localhost:9292 -X security.protocol=SASL_SSL -X sasl.mechanism=PLAIN -X sasl.username=rowferry -X ssl.ca.location=$keys/ca.pem"
options="$secure -X sasl.password=$password"
passes a b c || fail 'what came back is not what was written'
options="$options -X ssl.certificate.location=$keys/client.pem -X ssl.key.location=$keys/client.key"
passes d e f || fail 'with a certificate of the client, what came back is not what was written'
options="$secure -X sasl.password=wrong"
! passes g || fail 'a wrong password was taken'

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
quietly sh server_up.sh --docker --stack kraft --secure
options="$secure -X sasl.password=$password"
passes h || fail 'the password of before is refused'
# shellcheck disable=SC2086 # words
[ "$(kcat $options -C -e -q -t users -p 0 | paste -sd ' ' -)" = 'a b c d e f h' ] || fail 'records are gone'
quietly sh server_down.sh --docker -v
gone
[ ! -e "$keys" ] || fail 'the keys are still there'

step 'kraft: what cannot be is refused'
refused '--secure needs --stack kraft' sh server_up.sh --docker --secure
refused 'the image of --stack confluent is Kafka 3.3.2' env KAFKA_VERSION=3.9.1 sh server_up.sh --docker --stack confluent
refused 'begin with 3.7' env KAFKA_VERSION=3.6.2 sh server_up.sh --docker --stack kraft

step 'kraft: three brokers; the controller is killed, and records go on by TLS'
quietly sh server_up.sh --docker --stack kraft --secure --brokers 3
await 120 in_sync kraft
password=$(cat "$keys/password")
options="-b localhost:9292,localhost:9293,localhost:9294 ${secure#* * } -X sasl.password=$password"
passes a b c || fail 'what came back is not what was written'
lost=$(controller)
case $lost in 1) name=kafka ;; [23]) name=kafka_$lost ;; *) fail "the controller is '$lost'" ;; esac
docker kill "$name" >/dev/null
await 60 passes d e f
[ "$(state Running "$name")" = false ] || fail "$name runs, so nothing was tried"
quietly sh server_up.sh --docker
await 120 in_sync kraft
passes g h i || fail 'what came back is not what was written'
quietly sh server_down.sh --docker -v
gone
