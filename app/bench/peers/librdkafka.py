"""confluent-kafka (librdkafka) in Python, as somebody writes it who wants it fast.

librdkafka.py produce SOURCE BROKERS TOPIC COUNT   and   librdkafka.py consume SINK BROKERS TOPIC COUNT
"""

import sqlite3
import sys

import orjson
from confluent_kafka import Consumer, Producer

BATCH = 10_000

CREATE = """CREATE TABLE IF NOT EXISTS users(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, age INTEGER, balance REAL,
    created_at TEXT)"""

SELECT = """SELECT CAST(id AS TEXT), json_object('id', id, 'name', name, 'email', email, 'city', city, 'age', age,
    'balance', balance, 'created_at', created_at) FROM users"""

UPSERT = """INSERT INTO users VALUES (:id, :name, :email, :city, :age, :balance, :created_at) ON CONFLICT(id) DO UPDATE SET
    name = excluded.name, email = excluded.email, city = excluded.city, age = excluded.age, balance = excluded.balance,
    created_at = excluded.created_at"""


def produce(database, brokers, topic, _count):
    failed = []
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "acks": "all",
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _: failed.append(error),
        }
    )
    rows = sqlite3.connect(database).execute(SELECT)
    while batch := rows.fetchmany(BATCH):
        for key, value in batch:
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
    left = producer.flush()
    if left or failed:
        sys.exit(f"{left} records were not sent, {len(failed)} failed")


def consume(database, brokers, topic, count):
    sink = sqlite3.connect(database)
    sink.execute("PRAGMA journal_mode = WAL")
    sink.execute(CREATE)
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"{topic}-librdkafka",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,  # a full queue would rest for a second
        }
    )
    consumer.subscribe([topic])
    landed = 0
    while landed < count:
        messages = consumer.consume(BATCH, timeout=0.5)
        if errors := [message.error() for message in messages if message.error()]:
            sys.exit(str(errors[0]))
        if messages:
            with sink:
                sink.executemany(UPSERT, (orjson.loads(message.value()) for message in messages))
            consumer.commit(asynchronous=True)
            landed += len(messages)
    consumer.close()


if __name__ == "__main__":
    what, database, brokers, topic, count = sys.argv[1:]
    {"produce": produce, "consume": consume}[what](database, brokers, topic, int(count))
