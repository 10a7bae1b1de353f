# shellcheck shell=sh
# The processes of the native cluster. A node is one of them; all that belongs to node N lies in the cluster's folder as
# N.pid, N.log, N.properties and N/ (data). To be sourced by native.sh.

# The process id of a node, if it runs and is ours: a left-over file can name a process that is something else by now.
node_pid() {
    pid=$(cat "$ROWFERRY_CLUSTER_DIR/$1.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
    if [ -d /proc/self ]; then
        tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null
    else
        ps -ww -o args= -p "$pid" | tr ' ' '\n'
    fi 2>/dev/null | grep -qxF -e "$(node_mark "$1")" && printf '%s' "$pid"
}

# An argument by which a process of ours is known; ps shows it in words, so it holds no space.
node_mark() { printf -- '-Drowferry.node=%s' "$(printf %s "$ROWFERRY_CLUSTER_DIR/$1" | tr ' ' '_')"; }

# All nodes that were ever started here.
nodes() {
    for file in "$ROWFERRY_CLUSTER_DIR"/broker-*.pid "$ROWFERRY_CLUSTER_DIR"/zookeeper.pid; do
        [ ! -e "$file" ] || basename "$file" .pid
    done
}

native_runs() {
    for node in $(nodes); do
        ! node_pid "$node" >/dev/null || return 0
    done
    return 1
}

# Starts a node as a daemon. It runs inside the cluster's folder, so that no file of settings needs to hold a path.
start_node() { # NODE HEAP CLASS ARGUMENT...
    node=$1 heap=$2
    shift 2
    launch=
    ! have setsid || launch=setsid # a session of its own, where there is the command for it
    (
        cd "$ROWFERRY_CLUSTER_DIR" || exit 1
        rm -f "$node.pid"
        [ ! -e "$node.log" ] || mv "$node.log" "$node.log.old"
        # The shell notes its own process id and then becomes Java: from the first moment the process has its mark.
        # shellcheck disable=SC2016 # the inner shell is to expand these
        $launch nohup sh -c 'echo $$ >"$0" && exec "$@"' "$node.pid" "$JAVA" "$(node_mark "$node")" "-Xmx$heap" \
            -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true -Dlog4j.configuration=file:log4j.properties \
            -Dzookeeper.preAllocSize=1024 ${SECURE:+-Djava.security.auth.login.config=keys/kafka/jaas.conf} -cp "$LIBS/*" "$@" </dev/null >"$node.log" 2>&1 &
    )
    tries=0
    until [ -s "$ROWFERRY_CLUSTER_DIR/$node.pid" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { tail_of "$ROWFERRY_CLUSTER_DIR/$node.log"; die "could not start $node"; }
        sleep 0.05
    done
}

# Waits until a node has written a line that matches.
await_node() { # NODE PATTERN
    log=$ROWFERRY_CLUSTER_DIR/$1.log
    end=$(($(date +%s) + 120))
    until grep -qE "$2" "$log" 2>/dev/null; do
        if ! node_pid "$1" >/dev/null; then
            warn "the last lines of $log:"
            grep -E 'ERROR|FATAL|Exception|Error:' "$log" | tail -n 4 | cut -c 1-300 | sed 's/^/  | /' >&2
            tail_of "$log"
            die "$1 ended while it started" "the lines above say why; sh server_down.sh -v removes all data if that is what stands in the way"
        fi
        [ "$(date +%s)" -lt "$end" ] || { tail_of "$log"; die "$1 did not get ready within 120 s" "see $log"; }
        sleep 0.1
    done
}

# Stops nodes, all at once.
stop_nodes() { # NODE...
    stopping=
    for node do
        if pid=$(node_pid "$node"); then
            kill "$pid" 2>/dev/null
            kill -CONT "$pid" 2>/dev/null # in case it is paused
            stopping="$stopping $node=$pid"
            export STOPPED=yes
        fi
    done
    end=$(($(date +%s) + 20))
    for each in $stopping; do await_end "${each%=*}" "${each#*=}"; done
    for node do rm -f "$ROWFERRY_CLUSTER_DIR/$node.pid"; done
}

await_end() { # NODE PID
    while node_pid "$1" >/dev/null && [ "$(date +%s)" -lt "$end" ]; do sleep 0.1; done
    if node_pid "$1" >/dev/null; then
        say "$1 (process $2) does not end within 20 s: killing it"
        kill -KILL "$2" 2>/dev/null
        while node_pid "$1" >/dev/null; do sleep 0.1; done
    fi
    say "$1 stopped (process $2)"
}

# Becomes a class of Kafka or ZooKeeper, a short-lived tool: who ends this process ends the tool.
run_class() { # CLASS ARGUMENT...
    exec "$JAVA" -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto \
        "-Dlog4j.configuration=file:$TOP/app/cluster/tools-log4j.properties" -cp "$LIBS/*" "$@"
}
