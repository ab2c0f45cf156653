import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * The offsets that a consumer group has committed, as an admin client sees them: topic, partition and offset,
 * tab-separated, a line each. Offsets of a transaction that is still open are waited for, as a consumer that starts does
 * (KIP-447). Arguments: bootstrap servers, group.
 */
public final class GroupOffsets {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        try (Admin admin = Admin.create(p)) {
            ListConsumerGroupOffsetsOptions stable = new ListConsumerGroupOffsetsOptions().requireStable(true);
            Map<TopicPartition, OffsetAndMetadata> offsets =
                admin.listConsumerGroupOffsets(args[1], stable).partitionsToOffsetAndMetadata().get();
            offsets.forEach((tp, o) -> {
                if (o == null) return;
                System.out.println(tp.topic() + "\t" + tp.partition() + "\t" + o.offset());
            });
        }
    }
}
