#!/bin/sh
# The promise's core tests (types, changes, kills, groups) on other versions of Kafka than the one that cargo test runs against.
#   sh app/tests/versions.sh [VERSION...]   by default 0.9.0.1, 3.3.2 and 3.9.1
set -eu
cd "$(dirname "$0")/../.."

core='types:: changes:: crashes::kills::sixty_kills groups::'
elsewhere=groups::shares::an_idle_member_keeps # brings its own 0.9.0.1, whatever the version here

# Shows what failed, and why; all of it where cargo never came to the tests.
explain() { sed -n '/^failures:/,$p' "$work/log" | grep . || cat "$work/log"; }

try() { # VERSION
    echo "== Kafka $1"
    # shellcheck disable=SC2086 # words
    if ! KAFKA_VERSION=$1 cargo test --test ferry -- $core --skip "$elsewhere" >"$work/log" 2>&1; then
        explain >&2
        return 1
    fi
    counts=
    for filter in $core; do
        count=$(grep -c "^test $filter.* \.\.\. ok\$" "$work/log") || {
            echo "no test is named $filter: mend the list in $0" >&2
            return 1
        }
        counts="$counts $filter $count"
    done
    echo "passed on $1:$counts"
}

case ${1:-} in
-*)
    sed -n '2,3s/^# *//p' "$0"
    exit 2
    ;;
esac
[ $# -gt 0 ] || set -- 0.9.0.1 3.3.2 3.9.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

failed=
for version do
    try "$version" || failed="$failed $version"
done
[ -z "$failed" ] || {
    echo "FAILED on:$failed" >&2
    exit 1
}
