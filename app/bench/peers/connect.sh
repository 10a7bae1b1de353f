#!/bin/sh
# The peer "Kafka Connect": a standalone worker with a source and a sink that speak JDBC; connect.md tells which and why.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
TOP=$(cd "$HERE/../../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../../cluster/common.sh disable=SC1091
. "$TOP/app/cluster/common.sh"

usage() {
    cat <<'END'
sh connect.sh prepare
sh connect.sh produce SOURCE_DB BROKERS TOPIC COUNT
sh connect.sh consume SINK_DB BROKERS TOPIC COUNT
sh connect.sh tool CLASS ARGUMENT...

  prepare  gets the jars, once
  produce  ships the COUNT rows of table users in SOURCE_DB into TOPIC (3 partitions, empty), and ends when all are acknowledged
  consume  lands the COUNT records of TOPIC in table users of SINK_DB (a new file), and ends when all are committed
  tool     runs another class of Kafka's own, such as org.apache.kafka.tools.ProducerPerformance

Needs Java 17 or later with Maven, kcat and sqlite3. XDG_CACHE_HOME is where the folder rowferry with the jars lies (~/.cache).
END
}

SETTINGS=$HERE/connect
[ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || die "neither HOME nor XDG_CACHE_HOME is set: no place for the jars"
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/rowferry
JARS=$CACHE/bench-connect-$(cksum <"$SETTINGS/pom.xml" | cut -d ' ' -f 1) # another pom, other jars
JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java

work='' worker=''
clean_up() {
    # Killed, not asked: all that counts is done by now, and nothing of its state is needed again.
    if [ -n "$worker" ]; then { kill -KILL "$worker" && wait "$worker"; } 2>/dev/null; fi
    [ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

prepare() {
    for tool in "$JAVA" mvn kcat sqlite3; do
        have "$tool" || die "no $tool here" "install it (Debian, Ubuntu: apt install default-jre-headless maven kcat sqlite3)"
    done
    java_version=$("$JAVA" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${java_version:-0}" -ge 17 ] || die "$JAVA is Java ${java_version:-of an unknown version}, and Debezium needs Java 17 or later"
    [ -d "$JARS" ] || resolve_jars
}

# Fills a folder of its own, then renames it: a half-filled cache is never seen, and of two that race one wins.
resolve_jars() {
    need_space "$CACHE" 400 XDG_CACHE_HOME
    work=$(mktemp -d "$CACHE/resolving.XXXXXX") || die "cannot write in $CACHE"
    resolve worker worker
    resolve source source/camel
    resolve sink sink/debezium
    # Lists what the plugins hold, so that a worker need not search all their classes at each start.
    (run_class "$work/jars" org.apache.kafka.tools.ConnectPluginPath sync-manifests \
        --plugin-path "$work/jars/source,$work/jars/sink") </dev/null >"$work/log" 2>&1 ||
        { tail_of "$work/log" && die "the plugins could not be listed"; }
    [ -d "$JARS" ] || mv "$work/jars" "$JARS"
    rm -rf "${JARS:?}/jars" # where mv put it if another call had come first by a moment
}

resolve() { # PROFILE FOLDER
    mvn -B -q -U -f "$SETTINGS/pom.xml" -P "$1" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$work/jars/$2" </dev/null >"$work/log" 2>&1 ||
        { tail_of "$work/log" && die "Maven could not resolve the jars of the $1"; }
}

# Becomes a class of the worker's jars. The heap is half of what Kafka's own script gives it: more saves nothing.
run_class() { # JARS CLASS ARGUMENT...
    libs=$1/worker
    shift
    exec "$JAVA" -Xms256m -Xmx1g -XX:-UsePerfData -XX:+ExitOnOutOfMemoryError "-Djava.io.tmpdir=$work" \
        "-Dlog4j.configuration=file:$SETTINGS/log4j.properties" -cp "$libs/*" "$@"
}

tool() { (run_class "$JARS" "$@"); } # CLASS ARGUMENT...

produce() { # SOURCE_DB BROKERS TOPIC COUNT
    [ -f "$1" ] || die "there is no database $1"
    start_worker source "$1" "$2" "$3"
    await "$4" acknowledged
}

consume() { # SINK_DB BROKERS TOPIC COUNT
    [ ! -e "$1" ] || die "$1 exists already, and the sink is to be a new database"
    sqlite3 "$1" 'CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, age INTEGER, balance REAL, created_at TEXT)' ||
        die "cannot make the database $1"
    start_worker sink "$1" "$2" "$3"
    await "$4" committed
}

start_worker() { # SIDE DATABASE BROKERS TOPIC
    [ -d "$JARS" ] || die "the jars are not there" "call first: sh connect.sh prepare"
    work=$(mktemp -d) || die "cannot make a temporary folder"
    {
        cat "$SETTINGS/worker.properties"
        echo "bootstrap.servers=$3"
        echo "plugin.path=$JARS/$1"
        echo "offset.storage.file.filename=$work/offsets"
    } >"$work/worker.properties"
    case $2 in /*) BENCH_DB=$2 ;; *) BENCH_DB=$PWD/$2 ;; esac
    BENCH_BROKERS=$3 BENCH_TOPIC=$4 BENCH_GROUP=bench-${work##*/}
    export BENCH_DB BENCH_TOPIC BENCH_GROUP
    run_class "$JARS" org.apache.kafka.connect.cli.ConnectStandalone "$work/worker.properties" "$SETTINGS/$1.properties" \
        </dev/null >"$work/log" 2>&1 &
    worker=$!
}

acknowledged() {
    kcat -b "$BENCH_BROKERS" -Q -t "$BENCH_TOPIC:0:-1" -t "$BENCH_TOPIC:1:-1" -t "$BENCH_TOPIC:2:-1" 2>/dev/null |
        awk '{ rows += $NF } END { if (NR == 3) print rows }'
}

committed() { sqlite3 "$BENCH_DB" 'SELECT count(*) FROM users' 2>/dev/null; }

# Waits until all rows are where they should be; gives up when the worker fails, or when nothing has moved for a minute.
await() { # COUNT acknowledged|committed
    rows=0 still=0
    while [ "$rows" -lt "$1" ]; do
        sleep 0.3
        before=$rows
        rows=$("$2")
        rows=${rows:-$before} # a look that failed tells nothing
        still=$((rows > before ? 0 : still + 1))
        kill -0 "$worker" 2>/dev/null || fail "the worker ended after $rows of $1 rows"
        ! grep -qE 'Task threw an uncaught|Failed to process' "$work/log" || fail "a task failed after $rows of $1 rows"
        [ "$still" -lt 200 ] || fail "nothing has moved for a minute: $rows of $1 rows are $2"
    done
    [ "$rows" -eq "$1" ] || fail "$rows rows are $2, and $1 were to be"
}

fail() { # MESSAGE
    grep -E 'ERROR|Caused by|failed polling' "$work/log" | cut -c 1-300 | head -n 8 | sed 's/^/  | /' >&2
    die "$1"
}

case ${1:-} in
prepare) [ $# -eq 1 ] || misused "prepare takes no arguments" ;;
produce | consume)
    [ $# -eq 5 ] || misused "$1 takes a database, brokers, a topic and a count"
    case $5 in '' | *[!0-9]*) misused "the count is '$5', which is no number" ;; esac ;;
tool) [ $# -gt 1 ] || misused "tool takes a class" ;;
-h | --help) usage && exit ;;
*) misused "unknown command '${1:-}'" ;;
esac
"$@"
