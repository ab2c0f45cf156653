import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Apache Kafka's own producer under the load of the Node clients: a callback for every record, of which the
 * application waits for one in 64 (loop=lean), for each one (loop=task), or for the only one (loop=startup); or the
 * latency of single records (loop=paced, loop=awaited).
 */
public final class ProducerClient {
    private static final int LOOKED_AT = 64;
    private static final int DISTINCT_VALUES = 64;
    private static final int DISTINCT_KEYS = 10_000;
    private static final long SEED = 42;

    private static final AtomicReference<Exception> failure = new AtomicReference<>();

    private final KafkaProducer<String, byte[]> producer;
    private final String topic;
    private final byte[][] values = new byte[DISTINCT_VALUES][];
    private final String[] keys;
    private final int outstanding;
    private int next;

    private ProducerClient(Map<String, String> args, KafkaProducer<String, byte[]> producer) {
        this.producer = producer;
        topic = args.getOrDefault("topic", "bench-0");
        outstanding = Integer.parseInt(args.getOrDefault("outstanding", "10000"));
        Random random = new Random(SEED);
        for (int i = 0; i < DISTINCT_VALUES; i++) {
            values[i] = new byte[Integer.parseInt(args.getOrDefault("size", "100"))];
            random.nextBytes(values[i]);
        }
        boolean keyed = Boolean.parseBoolean(args.getOrDefault("keyed", "false"));
        keys = keyed ? new String[DISTINCT_KEYS] : null;
        for (int i = 0; keyed && i < DISTINCT_KEYS; i++) keys[i] = String.format("order-%06d", i);
    }

    public static void main(String[] words) throws Exception {
        Map<String, String> args = new HashMap<>();
        for (String word : words) {
            int at = word.indexOf('=');
            args.put(word.substring(0, at), word.substring(at + 1));
        }
        Properties config = new Properties();
        config.put("bootstrap.servers", args.get("bootstrapServers"));
        config.put("client.id", "bench");
        config.put("acks", "all");
        String loop = args.getOrDefault("loop", "lean");
        boolean isLatency = loop.equals("paced") || loop.equals("awaited");
        config.put("linger.ms", isLatency ? "0" : "5");
        String ca = args.getOrDefault("ca", "");
        if (!ca.isEmpty()) {
            config.put("security.protocol", "SSL");
            config.put("ssl.truststore.type", "PEM");
            config.put("ssl.truststore.location", ca);
        }
        config.put("batch.size", args.getOrDefault("batchSize", "16384"));
        config.put("key.serializer", StringSerializer.class.getName());
        config.put("value.serializer", ByteArraySerializer.class.getName());

        try (KafkaProducer<String, byte[]> producer = new KafkaProducer<>(config)) {
            ProducerClient client = new ProducerClient(args, producer);
            if (loop.equals("startup")) {
                producer.send(client.record()).get();
                System.out.println("{\"ackAt\":" + System.currentTimeMillis() + "}");
                return;
            }
            if (isLatency) client.measureLatency(loop, args);
            else client.measure(loop, Long.parseLong(args.get("records")), Long.parseLong(args.get("warmupMs")));
        }
    }

    private void measure(String loop, long records, long warmupMs) throws Exception {
        long warmupEnd = System.nanoTime() + warmupMs * 1_000_000;
        long warmupRecords = 0;
        while (System.nanoTime() < warmupEnd) {
            send(loop, 50_000);
            warmupRecords += 50_000;
        }
        producer.flush();

        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long cpu = system.getProcessCpuTime();
        long start = System.nanoTime();
        send(loop, records);
        producer.flush();
        double seconds = (System.nanoTime() - start) / 1e9;
        double cpuSeconds = (system.getProcessCpuTime() - cpu) / 1e9;
        if (failure.get() != null) throw failure.get();
        System.out.println(String.format(Locale.ROOT,
            "{\"runtime\":\"Java %s\",\"records\":%d,\"seconds\":%.4f,\"recordsPerSecond\":%.0f,"
                + "\"cpuSecondsPerMillion\":%.4f,\"peakRssMB\":%.1f,\"warmupRecords\":%d}",
            System.getProperty("java.version"), records, seconds, records / seconds,
            cpuSeconds * 1e6 / records, peakRssMB(), warmupRecords));
    }

    private void send(String loop, long records) throws InterruptedException {
        if (loop.equals("task")) sendEachWaitedFor(records);
        else sendLean(records);
    }

    private void sendLean(long records) throws InterruptedException {
        Semaphore permits = new Semaphore(outstanding / LOOKED_AT);
        Callback seldomLookedAt = (metadata, error) -> {
            if (error != null) failure.compareAndSet(null, error);
        };
        Callback lookedAt = (metadata, error) -> {
            if (error != null) failure.compareAndSet(null, error);
            permits.release();
        };
        for (long i = 1; i <= records; i++) {
            if (i % LOOKED_AT == 0) {
                permits.acquire();
                producer.send(record(), lookedAt);
            } else {
                producer.send(record(), seldomLookedAt);
            }
        }
    }

    private void sendEachWaitedFor(long records) throws InterruptedException {
        Semaphore permits = new Semaphore(outstanding);
        Callback lookedAt = (metadata, error) -> {
            if (error != null) failure.compareAndSet(null, error);
            permits.release();
        };
        for (long i = 0; i < records; i++) {
            permits.acquire();
            producer.send(record(), lookedAt);
        }
    }

    private void measureLatency(String loop, Map<String, String> args) throws Exception {
        int rate = Integer.parseInt(args.getOrDefault("rate", "2000"));
        double seconds = Double.parseDouble(args.getOrDefault("seconds", "10"));
        double warmupSeconds = Double.parseDouble(args.getOrDefault("warmupMs", "3000")) / 1000;
        if (loop.equals("paced")) paced(rate, warmupSeconds);
        else awaited(warmupSeconds);
        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long cpu = system.getProcessCpuTime();
        long start = System.nanoTime();
        long[] latencies = loop.equals("paced") ? paced(rate, seconds) : awaited(seconds);
        double wall = (System.nanoTime() - start) / 1e9;
        double cpuSeconds = (system.getProcessCpuTime() - cpu) / 1e9;
        if (failure.get() != null) throw failure.get();
        Arrays.sort(latencies);
        int last = latencies.length - 1;
        System.out.println(String.format(Locale.ROOT,
            "{\"runtime\":\"Java %s\",\"records\":%d,\"recordsPerSecond\":%.0f,\"p50Ms\":%.4f,\"p99Ms\":%.4f,"
                + "\"maxMs\":%.4f,\"cpuSecondsPerMillion\":%.4f}",
            System.getProperty("java.version"), latencies.length, latencies.length / wall,
            latencies[(int) (last * 0.5)] / 1e6, latencies[(int) (last * 0.99)] / 1e6, latencies[last] / 1e6,
            cpuSeconds * 1e6 / latencies.length));
    }

    /** What is due each millisecond, as the clients in Node do it, whose timers are no finer. */
    private long[] paced(int rate, double seconds) throws Exception {
        int records = (int) (rate * seconds);
        long[] latencies = new long[records];
        CountDownLatch all = new CountDownLatch(records);
        long start = System.nanoTime();
        for (int sent = 0; sent < records; LockSupport.parkNanos(1_000_000)) {
            int due = Math.min(records, (int) ((System.nanoTime() - start) / 1e9 * rate));
            for (; sent < due; sent++) {
                int index = sent;
                long sentAt = System.nanoTime();
                producer.send(record(), (metadata, error) -> {
                    latencies[index] = System.nanoTime() - sentAt;
                    if (error != null) failure.compareAndSet(null, error);
                    all.countDown();
                });
            }
        }
        all.await();
        return latencies;
    }

    private long[] awaited(double seconds) throws Exception {
        long[] latencies = new long[10_000_000];
        int count = 0;
        long end = System.nanoTime() + (long) (seconds * 1e9);
        for (long sentAt = System.nanoTime(); sentAt < end; ) {
            producer.send(record()).get();
            long now = System.nanoTime();
            latencies[count++] = now - sentAt;
            sentAt = now;
        }
        return Arrays.copyOf(latencies, count);
    }

    private ProducerRecord<String, byte[]> record() {
        int i = next++ & 0x7fffffff;
        byte[] value = values[i % DISTINCT_VALUES];
        if (keys == null) return new ProducerRecord<>(topic, value);
        List<Header> headers = List.of(new RecordHeader("source", "checkout".getBytes(StandardCharsets.UTF_8)));
        return new ProducerRecord<>(topic, null, keys[i % DISTINCT_KEYS], value, headers);
    }

    private static double peakRssMB() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
        }
        return -1;
    }
}
