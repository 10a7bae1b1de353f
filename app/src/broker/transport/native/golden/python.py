# python.py BROKER CODEC TOPIC: one v1 message set of the golden records, as a client of Kafka 0.10 writes it.
import sys
from kafka import KafkaProducer
broker, codec, topic = sys.argv[1:]
producer = KafkaProducer(bootstrap_servers=broker, compression_type=None if codec == "none" else codec,
                         linger_ms=300, api_version=(0, 10, 1))
def send(key, value):
    producer.send(topic, key=key, value=value, partition=0, timestamp_ms=1700000000000)
send(b"1", b'{"id":1,"name":"Ada"}')
send(b"2", None)
send(b"3", b"")
send(None, b"no key")
send(b"", b"empty key")
send(b"6", b"x" * 1000)
producer.flush(30)
producer.close()
