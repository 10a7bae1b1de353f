"""kafka-python as in the tutorials: send row by row; insert and commit message by message.

tutorial.py produce SOURCE BROKERS TOPIC COUNT   and   tutorial.py consume SINK BROKERS TOPIC COUNT
"""

import json
import sqlite3
import sys

from kafka import KafkaConsumer, KafkaProducer


def produce(database, brokers, topic, _count):
    producer = KafkaProducer(
        bootstrap_servers=brokers,
        acks="all",
        key_serializer=lambda key: str(key).encode(),
        value_serializer=lambda value: json.dumps(value).encode(),
    )
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    for row in connection.execute("SELECT * FROM users"):
        producer.send(topic, key=row["id"], value=dict(row))
    producer.flush()


def consume(database, brokers, topic, count):
    connection = sqlite3.connect(database)
    connection.execute(
        """CREATE TABLE IF NOT EXISTS users(id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, age INTEGER, balance REAL,
        created_at TEXT)"""
    )
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=brokers,
        group_id=f"{topic}-tutorial",
        auto_offset_reset="earliest",
        value_deserializer=json.loads,
    )
    for landed, message in enumerate(consumer, start=1):
        user = message.value
        connection.execute("INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?, ?, ?)", tuple(user.values()))
        connection.commit()
        if landed == count:
            break
    consumer.close()


if __name__ == "__main__":
    what, database, brokers, topic, count = sys.argv[1:]
    {"produce": produce, "consume": consume}[what](database, brokers, topic, int(count))
