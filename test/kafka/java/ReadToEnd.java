import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Everything that topics hold at the moment of the call, read with Kafka's own consumer, which checks every CRC.
 * The end is the partition's end offset, never a pause in the stream, so a slow machine cannot lose records.
 */
final class ReadToEnd {
    private static final long SILENCE_MS = 60_000;

    private ReadToEnd() {}

    static void each(String bootstrap, boolean committed, Collection<String> topics,
            Consumer<ConsumerRecord<byte[], byte[]>> sink) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("isolation.level", committed ? "read_committed" : "read_uncommitted");
        p.put("auto.offset.reset", "none");
        p.put("enable.auto.commit", "false");
        p.put("max.poll.records", "10000");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (String topic : topics) {
                for (PartitionInfo i : consumer.partitionsFor(topic)) {
                    partitions.add(new TopicPartition(topic, i.partition()));
                }
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            Set<TopicPartition> open = new HashSet<>(partitions);
            long lastProgress = System.nanoTime();
            for (;;) {
                int before = open.size();
                open.removeIf(tp -> consumer.position(tp) >= ends.get(tp));
                if (open.isEmpty()) return;
                long read = 0;
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                    read++;
                    if (r.offset() < ends.get(new TopicPartition(r.topic(), r.partition()))) sink.accept(r);
                }
                if (read > 0 || open.size() < before) lastProgress = System.nanoTime();
                if (System.nanoTime() - lastProgress > SILENCE_MS * 1_000_000) {
                    throw new IllegalStateException("nothing read for " + SILENCE_MS + " ms; unfinished: " + open);
                }
            }
        }
    }
}
