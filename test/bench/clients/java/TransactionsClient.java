import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's own producer in transactions of so many records, one transaction after the other. */
public final class TransactionsClient {
    private static final int DISTINCT_VALUES = 64;
    private static final long SEED = 42;

    private final KafkaProducer<byte[], byte[]> producer;
    private final String topic;
    private final int perTransaction;
    private final byte[][] values = new byte[DISTINCT_VALUES][];

    private TransactionsClient(Map<String, String> args, KafkaProducer<byte[], byte[]> producer) {
        this.producer = producer;
        topic = args.get("topic");
        perTransaction = Integer.parseInt(args.get("perTransaction"));
        Random random = new Random(SEED);
        for (int i = 0; i < DISTINCT_VALUES; i++) {
            values[i] = new byte[Integer.parseInt(args.get("size"))];
            random.nextBytes(values[i]);
        }
    }

    public static void main(String[] words) {
        Map<String, String> args = new HashMap<>();
        for (String word : words) {
            int at = word.indexOf('=');
            args.put(word.substring(0, at), word.substring(at + 1));
        }
        Properties config = new Properties();
        config.put("bootstrap.servers", args.get("bootstrapServers"));
        config.put("client.id", "bench");
        config.put("transactional.id", "bench-" + args.get("topic"));
        config.put("key.serializer", ByteArraySerializer.class.getName());
        config.put("value.serializer", ByteArraySerializer.class.getName());
        long records = Long.parseLong(args.get("records"));
        long warmupRecords = Long.parseLong(args.get("warmupRecords"));
        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config)) {
            producer.initTransactions();
            TransactionsClient client = new TransactionsClient(args, producer);
            client.run(warmupRecords);
            long startedAt = System.nanoTime();
            long cpu = system.getProcessCpuTime();
            client.run(records);
            double seconds = (System.nanoTime() - startedAt) / 1e9;
            double cpuSeconds = (system.getProcessCpuTime() - cpu) / 1e9;
            System.out.println(String.format(Locale.ROOT,
                "{\"runtime\":\"Java %s\",\"records\":%d,\"seconds\":%.3f,\"recordsPerSecond\":%.1f,"
                    + "\"cpuSecondsPerMillion\":%.4f,\"warmupRecords\":%d,\"recordsPerTransaction\":%d}",
                System.getProperty("java.version"), records, seconds, records / seconds, cpuSeconds * 1e6 / records,
                warmupRecords, client.perTransaction));
        }
    }

    private void run(long count) {
        for (long sent = 0; sent < count;) {
            producer.beginTransaction();
            for (long end = Math.min(count, sent + perTransaction); sent < end; sent++) {
                producer.send(new ProducerRecord<>(topic, values[(int) (sent % DISTINCT_VALUES)]));
            }
            producer.commitTransaction();
        }
    }
}
