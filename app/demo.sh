#!/bin/sh
# The whole ferry in one command: starts the cluster, ships 1,000 fake users, lands them in a second database, compares both.
# Safe to run again: what has been shipped and landed stays.
set -eu

cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step 'cluster: one ZooKeeper, one Kafka'
sh server_up.sh

step 'building (the first time takes a minute or two)'
cargo build --quiet --bins

step 'producer: data/source.db -> topic users'
cargo run --quiet --bin producer

step 'consumer: topic users -> data/sink.db'
cargo run --quiet --bin consumer -- --until-caught-up

step 'verify: data/source.db against data/sink.db'
cargo run --quiet --bin verify

cat <<'END'

Both databases hold the same rows. What next:
  cargo run --bin producer -- --follow --fake-every 3s   # a new user every 3 s ...
  cargo run --bin consumer -- --print                    # ... seen as it lands, in another terminal
  sh server_down.sh                                      # stop the cluster (-v: remove its data too)
END
