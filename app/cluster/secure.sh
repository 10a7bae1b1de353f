# shellcheck shell=sh
# What --secure adds to the stack kraft: a listener with TLS and a login, and the keys for it. To be
# sourced by native.sh. All of it lies in SECURE_DIR, which only its owner can enter:
#   ca.pem, ca.key          the authority that has signed the certificates
#   client.pem, client.key  a certificate for clients, which the brokers take but do not need
#   password                of the user
#   kafka/                  what the brokers and Kafka's own tools read
SECURE_USER=rowferry

# The names of the brokers by which a client may know them; the last three are containers.
SECURE_NAMES=DNS:localhost,IP:127.0.0.1,DNS:kafka,DNS:kafka_2,DNS:kafka_3

# Ends with an error where what was asked for cannot be had.
check_secure() {
    [ -n "$SECURE" ] || return 0
    [ "$STACK" = kraft ] ||
        misused "--secure needs --stack kraft: the stack $STACK has no listener with TLS and a login"
    case $KAFKA_VERSION in 3.[0-4] | 3.[0-4].*)
        die "KAFKA_VERSION is $KAFKA_VERSION, which keeps no logins without ZooKeeper" "use 3.5 or later for --secure" ;;
    esac
    have openssl || die "no openssl here: --secure makes its keys and certificates with it" \
        "install it (Debian, Ubuntu: apt install openssl), or leave --secure out"
}

# Makes the keys and the password, unless they are there. They are made in a folder of its own,
# which is then renamed: a half-made set is never seen.
make_keys() {
    [ ! -d "$SECURE_DIR" ] || return 0
    work=$SECURE_DIR.new
    (
        umask 077
        rm -rf "$work"
        mkdir -p "$work/kafka" || exit 1
        cd "$work" && { sign_all && write_logins; } >log 2>&1 && rm -f -- *.csr *.ext log && mv "$work" "$SECURE_DIR"
    ) || {
        tail_of "$work/log"
        die "the keys for --secure could not be made in $SECURE_DIR" "the lines above say why"
    }
    say "the keys for --secure are made in $SECURE_DIR"
}

sign_all() {
    new_key ca 'Rowferry development CA' 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign' &&
        sign ca -signkey ca.key &&
        new_key server localhost 'extendedKeyUsage=serverAuth' "subjectAltName=$SECURE_NAMES" &&
        sign server -CA ca.pem -CAkey ca.key &&
        new_key client "$SECURE_USER" 'extendedKeyUsage=clientAuth' &&
        sign client -CA ca.pem -CAkey ca.key &&
        cat server.key server.pem >kafka/server.pem &&
        rm server.key server.pem &&
        cp ca.pem kafka/
}

# An unencrypted key in PKCS #8, which both Java and others read, and the request to sign it.
new_key() { # NAME SUBJECT EXTENSION...
    name=$1 subject=$2
    shift 2
    printf '%s\n' "$@" >"$name.ext"
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve -out "$name.key" &&
        openssl req -new -sha256 -key "$name.key" -subj "/CN=$subject" -out "$name.csr"
}

sign() { # NAME OPTION...
    name=$1
    shift
    openssl x509 -req -sha256 -days 3650 -set_serial "0x01$(openssl rand -hex 15)" -in "$name.csr" -extfile "$name.ext" \
        -out "$name.pem" "$@"
}

# The user's password, for a client, for the brokers and for Kafka's own tools. It is never on a
# command line.
write_logins() {
    password=$(openssl rand -hex 20) && printf '%s' "$password" >password &&
        jaas_conf >kafka/jaas.conf &&
        echo "SCRAM-SHA-256=iterations=4096,password=$password" >kafka/scram-256.properties &&
        echo "SCRAM-SHA-512=iterations=4096,password=$password" >kafka/scram-512.properties &&
        client_properties >kafka/client.properties
}

jaas_conf() {
    cat <<END_OF_FILE
secure.KafkaServer {
    org.apache.kafka.common.security.scram.ScramLoginModule required;
    org.apache.kafka.common.security.plain.PlainLoginModule required user_$SECURE_USER="$password";
};
END_OF_FILE
}

# The certificate stands in it, in one line, so that the file can be read from anywhere.
client_properties() {
    login=org.apache.kafka.common.security.scram.ScramLoginModule
    cat <<END_OF_FILE
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=$login required username="$SECURE_USER" password="$password";
ssl.truststore.type=PEM
ssl.truststore.certificates=$(awk '{ printf "%s\\n", $0 }' ca.pem)
END_OF_FILE
}

# What a native broker's settings need beside the listener; kraft-secure.yml has the same.
secure_properties() {
    cat <<END_OF_FILE
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location=keys/kafka/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=keys/kafka/ca.pem
listener.name.secure.ssl.client.auth=requested
END_OF_FILE
}

# Gives the user its login and waits until all brokers answer by TLS. Called once the brokers serve.
secure_up() { # PORTS FOLDER COMMAND...: the COMMAND is kafka-configs.sh, which reads FOLDER and finds the cluster
    ports=$1 folder=$2
    shift 2
    for hash in 256 512; do # Kafka refuses both at once
        said=$("$@" --alter --entity-type users --entity-name "$SECURE_USER" \
            --add-config-file "$folder/scram-$hash.properties" 2>&1) || {
            words_of_tool "$said"
            die "the cluster runs, but the user $SECURE_USER could not be made" \
                "the lines above say why; then call server_up.sh again"
        }
    done
    end=$(($(date +%s) + 30))
    for port in $(printf '%s' "$ports" | tr , ' '); do
        until said=$(openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile "$SECURE_DIR/ca.pem" \
            -verify_return_error </dev/null 2>&1); do
            [ "$(date +%s)" -lt "$end" ] || {
                words_of_tool "$said"
                die "no broker answers by TLS on port $port" \
                    "if its keys are wrong, remove all (sh server_down.sh -v) and call server_up.sh --secure again"
            }
            sleep 0.5
        done
    done
}

# What a client is to be told, ready to be pasted.
secure_options() { # PORTS
    list=$(printf '%s' "$1" | sed 's/^/localhost:/; s/,/,localhost:/g')
    say '' 'With TLS and a login, instead of the plain listener:' \
        "  --brokers $list --tls --tls-ca $(quoted "$SECURE_DIR/ca.pem") --sasl scram-sha-512 --sasl-user $SECURE_USER --sasl-password-file $(quoted "$SECURE_DIR/password")" \
        'and, for mutual TLS:' \
        "  --tls-cert $(quoted "$SECURE_DIR/client.pem") --tls-key $(quoted "$SECURE_DIR/client.key")"
}

# A path as a shell reads it.
quoted() {
    case $1 in
    *[!A-Za-z0-9/._+,:@%=-]*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s' "$1" ;;
    esac
}

# Removes the keys, if it is ours what lies there.
remove_keys() {
    [ ! -f "$SECURE_DIR/kafka/jaas.conf" ] || rm -rf "$SECURE_DIR"
    rm -rf "$SECURE_DIR.new"
    rmdir "$(dirname "$SECURE_DIR")" 2>/dev/null || true # it can be of the cluster in Docker, which has nothing else in it
}
