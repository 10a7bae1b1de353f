#!/bin/sh
# Runs all fuzz targets, each for so many seconds: with libFuzzer where cargo-fuzz and a nightly toolchain are there, and otherwise with
# the inputs of chance that `cargo test` uses. What an input breaks stays in artifacts/; move it to corpus/ with its mend.
set -eu
usage='usage: sh app/fuzz/run.sh [SECONDS] [TARGET...]'

seconds=${1:-60}
case $seconds in '' | *[!0-9]*) echo "$usage" >&2; exit 2 ;; esac
[ $# -eq 0 ] || shift
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- readers round_trip group_metadata answers batches record_sets login sink

libfuzzer() { # TARGET
  # New inputs go into a folder that git does not know; those that broke something are kept by hand.
  mkdir -p "artifacts/found/$1"
  cargo +nightly fuzz run "$1" "artifacts/found/$1" "corpus/$1" -- -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=512
}

by_chance() { # TARGET
  case $1 in
    sink) ROWFERRY_FUZZ_SECONDS=$seconds cargo test --manifest-path ../Cargo.toml --test ferry -- --nocapture hostile::forty_records ;;
    *) ROWFERRY_FUZZ_SECONDS=$seconds cargo test --manifest-path ../Cargo.toml --lib -- --nocapture "fuzzing::tests::$1" ;;
  esac
}

if cargo +nightly fuzz --version >/dev/null 2>&1; then
  how=libfuzzer
else
  how=by_chance
  echo 'fuzz: no cargo-fuzz on a nightly toolchain here: inputs are made by chance'
fi
for target in "$@"; do
  echo "fuzz: $target for $seconds s"
  if [ "$target" = sink ]; then by_chance sink; else "$how" "$target"; fi
done
