#!/bin/sh
# sh app/tests/audit.sh: are the crates known to be unsound, under licences that fit, from crates.io alone, and each there once?
# app/deny.toml holds the rules. It installs nothing; it says what is missing. Advisories need the network (github.com), the rest does not:
# sh app/tests/audit.sh --offline leaves them out. A clone of https://github.com/RustSec/advisory-db can be named by ROWFERRY_ADVISORIES.
set -u
cd "$(dirname "$0")/../.." || exit 1

die() { echo "audit: $*" >&2; exit 1; }

offline=
case ${1:-} in
'') ;;
--offline) offline=yes ;;
*) die "unknown option $1: sh app/tests/audit.sh [--offline]" ;;
esac

missing=
command -v cargo-deny >/dev/null || missing=cargo-deny
[ -n "$offline" ] || command -v cargo-audit >/dev/null || missing="$missing cargo-audit"
[ -z "$missing" ] || die "install what is missing (some minutes of compiling): cargo install --locked ${missing# }"

failed=
check() { # WHAT COMMAND...
    echo "audit: == $1"
    shift
    "$@" || failed=yes
}

check 'licences, duplicates, sources' cargo-deny --config app/deny.toml --locked check licenses bans sources
if [ -z "$offline" ] && [ -n "${ROWFERRY_ADVISORIES:-}" ]; then
    check advisories cargo-audit audit --db "$ROWFERRY_ADVISORIES" --no-fetch
elif [ -z "$offline" ]; then
    check advisories cargo-audit audit
    check 'advisories and yanked versions' cargo-deny --config app/deny.toml --locked check advisories
fi
[ -z "$failed" ] || die 'something above is not as it should be'
echo 'audit: all is well'
