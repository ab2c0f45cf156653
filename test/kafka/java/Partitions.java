import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The partitions that Kafka's own Java producer picks. Keys come on standard input, in hex, one a line (an empty line
 * is the empty key); the answers leave in the same order.
 * `table N`: for every key the partitions of a topic with 1, 2 ... N partitions, by the producer's own function.
 * `send BOOTSTRAP TOPIC`: sends a record with each key through a real KafkaProducer and prints where it went.
 */
public final class Partitions {
    public static void main(String[] args) throws Exception {
        List<byte[]> keys = new ArrayList<>();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) keys.add(HexFormat.of().parseHex(line));
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.US_ASCII);
        if (args[0].equals("table")) table(keys, Integer.parseInt(args[1]), out);
        else send(keys, args[1], args[2], out);
        out.flush();
    }

    private static void table(List<byte[]> keys, int max, PrintStream out) {
        for (byte[] key : keys) {
            StringBuilder line = new StringBuilder();
            for (int n = 1; n <= max; n++) {
                line.append(n == 1 ? "" : " ").append(BuiltInPartitioner.partitionForKey(key, n));
            }
            out.append(line.append('\n'));
        }
    }

    private static void send(List<byte[]> keys, String bootstrap, String topic, PrintStream out) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (byte[] key : keys) sent.add(producer.send(new ProducerRecord<>(topic, key, new byte[0])));
            for (Future<RecordMetadata> one : sent) out.append(one.get().partition() + "\n");
        }
    }
}
