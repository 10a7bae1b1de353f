#!/bin/sh
# sqlite3 | kcat and back: the fastest thing that people assemble by hand.
#   kcat.sh produce SOURCE BROKERS TOPIC COUNT   and   kcat.sh consume SINK BROKERS TOPIC COUNT
set -eu
what=$1 database=$2 brokers=$3 topic=$4 count=$5

case $what in
produce)
    # A tab is in no user: it parts the key from the value.
    sqlite3 "$database" "SELECT id || char(9) || json_object('id', id, 'name', name, 'email', email, 'city', city, 'age', age,
        'balance', balance, 'created_at', created_at) FROM users" |
        kcat -P -b "$brokers" -t "$topic" -K '\t' -X acks=all -X linger.ms=5 -X queue.buffering.max.messages=1000000
    ;;
consume)
    # .import reads lines, and SQLite takes the JSON apart; one transaction. A queue that is full rests for a second, so it is made large.
    kcat -C -b "$brokers" -t "$topic" -o beginning -c "$count" -q -f '%s\n' -X queued.min.messages=1000000 -X queued.max.messages.kbytes=1048576 |
        sqlite3 "$database" '.bail on' "CREATE TABLE IF NOT EXISTS users(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT,
            age INTEGER, balance REAL, created_at TEXT)" 'CREATE TEMP TABLE lines(line)' \
            '.mode ascii' '.separator \037 \n' '.import /dev/stdin lines' "INSERT INTO users
            SELECT line->>'id', line->>'name', line->>'email', line->>'city', line->>'age', line->>'balance', line->>'created_at'
            FROM lines WHERE true ON CONFLICT(id) DO UPDATE SET name = excluded.name, email = excluded.email, city = excluded.city,
            age = excluded.age, balance = excluded.balance, created_at = excluded.created_at"
    ;;
esac
