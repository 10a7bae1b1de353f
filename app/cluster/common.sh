# shellcheck shell=sh
# What the scripts of the cluster share: their words, the settings and small looks at the machine. To be sourced after
# TOP is set to the folder that holds server_up.sh.

say() { printf '%s\n' "$@"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    warn "error: $1"
    shift
    for line in "$@"; do warn "  $line"; done
    exit 1
}
misused() {
    warn "error: $1"
    warn "  sh ${0##*/} --help lists the options"
    exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# The last lines of a file, indented, for an error.
tail_of() { tail -n "${2:-8}" "$1" 2>/dev/null | cut -c 1-300 | sed 's/^/  | /' >&2; }

# What one of Kafka's tools said, without its stack trace, for an error.
words_of_tool() { printf '%s\n' "$1" | grep -v '^[[:space:]]*at ' | head -n 5 | cut -c 1-300 | sed 's/^/  | /' >&2; }

# Does something listen on this TCP port of the machine?
port_taken() {
    if [ -r /proc/net/tcp ]; then
        [ -n "$(listening_socket "$1")" ]
    else
        lsof -nP -iTCP:"$1" -sTCP:LISTEN >/dev/null 2>&1
    fi
}

# The inode of the socket that listens there. State 0A is LISTEN; the address is hexadecimal, ADDRESS:PORT.
listening_socket() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$(printf '%04X' "$1")" '$4 == "0A" && $2 ~ ":" port "$" { print $10; exit }'
}

# Who listens there: "java (process 123)", or that it cannot be told.
port_owner() {
    owner=
    if [ -r /proc/net/tcp ]; then
        # shellcheck disable=SC2012 # all that is read of a line is its end, and no file here has a name with a space
        id=$(ls -l /proc/[0-9]*/fd 2>/dev/null | awk -v socket="socket:[$(listening_socket "$1")]" '
            /^\/proc\// { split($0, part, "/") }
            $NF == socket { print part[3]; exit }')
        [ -z "$id" ] || owner="$(cat "/proc/$id/comm") (process $id)"
    elif have lsof; then
        owner=$(lsof -nP -iTCP:"$1" -sTCP:LISTEN -Fpc 2>/dev/null |
            awk '/^p/ { p = substr($0, 2) } /^c/ { print substr($0, 2) " (process " p ")"; exit }')
    fi
    printf '%s' "${owner:-a process that cannot be told from here (another user\'s?)}"
}

need_port() { # PORT WHAT SETTING
    if port_taken "$1"; then
        die "port $1, which $2 needs, is taken by $(port_owner "$1")" \
            "stop it (a cluster of this project: sh server_down.sh in its checkout), or choose $3"
    fi
}

need_space() { # FOLDER MEGABYTES SETTING
    mkdir -p "$1" 2>/dev/null || die "cannot make the folder $1" "make it writable, or choose another one with $3"
    free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
    [ "${free:-0}" -ge "$2" ] || die "only ${free:-0} MB are free in $1, and $2 MB are needed" \
        "free some space, or choose another folder with $3"
}
