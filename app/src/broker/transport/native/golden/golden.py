# golden.py BROKER CODEC TOPIC [FALLBACK]: one batch of the golden records; FALLBACK is the broker version to speak to.
import sys
from confluent_kafka import Producer
broker, codec, topic, *old = sys.argv[1:]
conf = {"bootstrap.servers": broker, "compression.type": codec, "linger.ms": 300}
if old:
    conf |= {"api.version.request": False, "broker.version.fallback": old[0]}
producer = Producer(conf)
def send(key, value, **more):
    producer.produce(topic, key=key, value=value, partition=0, timestamp=1700000000000, **more)
send(b"1", b'{"id":1,"name":"Ada"}', **({} if old else {"headers": {"header": b"of the first"}}))
send(b"2", None)
send(b"3", b"")
send(None, b"no key")
send(b"", b"empty key")
send(b"6", b"x" * 1000)
sys.exit(producer.flush(30))
