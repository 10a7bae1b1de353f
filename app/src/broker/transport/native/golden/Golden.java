import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.header.internals.*;

/** Golden.java BROKER CODEC TOPIC [transactions]: one batch of the golden records, or three transactions. */
public class Golden {
    static byte[] bytes(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }

    static ProducerRecord<byte[], byte[]> record(String topic, String key, String value) {
        return new ProducerRecord<>(topic, 0, 1700000000000L, bytes(key), bytes(value));
    }

    public static void main(String[] args) throws Exception {
        String topic = args[2];
        if (args.length > 3) { transactions(args); return; }
        try (KafkaProducer<byte[], byte[]> producer = producer(args, null)) {
            ProducerRecord<byte[], byte[]> first = record(topic, "1", "{\"id\":1,\"name\":\"Ada\"}");
            if (!topic.contains("-v")) first.headers().add("header", bytes("of the first"));
            producer.send(first);
            producer.send(record(topic, "2", null));
            producer.send(record(topic, "3", ""));
            producer.send(record(topic, null, "no key"));
            producer.send(record(topic, "", "empty key"));
            producer.send(record(topic, "6", "x".repeat(1000)));
            producer.flush();
        }
    }

    static KafkaProducer<byte[], byte[]> producer(String[] args, String id) {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("compression.type", args[1]);
        p.put("linger.ms", "300");
        p.put("key.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        if (id != null) p.put("transactional.id", id);
        return new KafkaProducer<>(p);
    }

    /** Two producers whose transactions overlap, and records of nobody's between them; the last one stays open. */
    static void transactions(String[] args) throws Exception {
        String topic = args[2];
        KafkaProducer<byte[], byte[]> one = producer(args, "one"), two = producer(args, "two"), plain = producer(args, null);
        one.initTransactions();
        two.initTransactions();
        one.beginTransaction();
        two.beginTransaction();
        one.send(record(topic, "a", "one, aborted")).get();
        two.send(record(topic, "b", "two, committed")).get();
        plain.send(record(topic, "c", "plain")).get();
        one.send(record(topic, "d", "one, aborted")).get();
        one.flush();
        one.abortTransaction();
        one.beginTransaction();
        one.send(record(topic, "e", "one, committed")).get();
        one.commitTransaction();
        two.send(record(topic, "f", "two, committed")).get();
        two.commitTransaction();
        two.beginTransaction();
        two.send(record(topic, "g", "two, aborted later")).get();
        two.abortTransaction();
        one.beginTransaction();
        one.send(record(topic, "h", "one, open")).get();
        plain.send(record(topic, "i", "plain, behind the last stable offset")).get();
        for (int i = 0; i < 1; i++) System.err.println("done");
        Runtime.getRuntime().halt(0);
    }
}
