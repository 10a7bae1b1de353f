#!/bin/sh
# The core of the promise on pairs of a client and a version of Kafka: values in every codec, changes, kills of either side and of
# brokers, lost answers, groups, growth, losses, batches of other clients, and three brokers whose leader and controller die.
#   sh app/tests/versions.sh [CLIENT:VERSION...]
# by default native:4.4.0 native:3.9.1 native:2.8.1 kafka:0.9.0.1 kafka:3.9.1; kafka:2.8.1 is what cargo test runs.
set -eu
cd "$(dirname "$0")/../.."

core='types:: changes:: crashes:: groups:: growth:: losses:: edges::batches_of_another_client_in_every_codec'
# Three brokers; of 0.9 none tells who the controller or a group's coordinator is.
many='faults::leaders::a_leader_killed_and_chased faults::nodes::a_controller_killed faults::coordinator::'
# Brings its own 0.9.0.1, whatever the version here.
elsewhere='--skip groups::shares::an_idle_member_keeps'
# Records are removed as if they had expired, which no tool does before 0.11.
expiry='--skip nobody_waits_for_a_partition_whose_records --skip a_topic_whose_beginning_has_expired --skip records_that_expire'

# Shows what failed, and why; all of it where cargo never came to the tests.
explain() { sed -n '/^failures:/,$p' "$work/log" | grep . || cat "$work/log"; }

try() { # CLIENT VERSION
    echo "== $1 on Kafka $2"
    case $2 in
    0.*) filters=$core skips="$elsewhere $expiry" ;;
    *) filters="$core $many" skips=$elsewhere ;;
    esac
    # shellcheck disable=SC2086 # words
    if ! KAFKA_VERSION=$2 ROWFERRY_TEST_CLIENT=$1 cargo test --test ferry -- $filters $skips >"$work/log" 2>&1; then
        explain >&2
        return 1
    fi
    counts=
    for filter in $filters; do
        count=$(grep -c "^test $filter.* \.\.\. ok\$" "$work/log") || {
            echo "no test is named $filter: mend the list in app/tests/versions.sh" >&2
            return 1
        }
        counts="$counts $filter $count"
    done
    echo "passed with $1 on $2:$counts"
}

usage() {
    sed -n '2,5s/^# *//p' app/tests/versions.sh
    exit 2
}

[ $# -gt 0 ] || set -- native:4.4.0 native:3.9.1 native:2.8.1 kafka:0.9.0.1 kafka:3.9.1
for pair do
    case $pair in native:[0-9]* | kafka:[0-9]*) ;; *) usage ;; esac
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

failed=
for pair do
    try "${pair%%:*}" "${pair#*:}" || failed="$failed $pair"
done
[ -z "$failed" ] || {
    echo "FAILED on:$failed" >&2
    exit 1
}
