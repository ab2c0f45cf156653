import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/**
 * Creates and deletes topics in one go, and ends when every new partition has its leader and all its replicas in sync.
 * Argument: bootstrap servers. Standard input: `create NAME PARTITIONS REPLICATION-FACTOR [KEY=VALUE ...]` (a factor of
 * -1 is the broker's default) or `delete NAME`, one a line.
 */
public final class Topics {
    private static final long PATIENCE_MS = 60_000;

    public static void main(String[] args) throws Exception {
        List<NewTopic> create = new ArrayList<>();
        List<String> delete = new ArrayList<>();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] word = line.trim().split(" ");
            switch (word[0]) {
                case "create":
                    short factor = Short.parseShort(word[3]);
                    Map<String, String> config = new HashMap<>();
                    for (int i = 4; i < word.length; i++) config.put(word[i].split("=", 2)[0], word[i].split("=", 2)[1]);
                    create.add(new NewTopic(word[1], Optional.of(Integer.parseInt(word[2])),
                        factor < 0 ? Optional.empty() : Optional.of(factor)).configs(config));
                    break;
                case "delete": delete.add(word[1]); break;
                default: throw new IllegalArgumentException(line);
            }
        }
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        try (Admin admin = Admin.create(p)) {
            if (!delete.isEmpty()) admin.deleteTopics(delete).all().get();
            if (create.isEmpty()) return;
            admin.createTopics(create).all().get();
            List<String> names = create.stream().map(NewTopic::name).toList();
            long until = System.currentTimeMillis() + PATIENCE_MS;
            while (!ready(admin, names)) {
                if (System.currentTimeMillis() > until) throw new IllegalStateException("not ready in time: " + names);
                Thread.sleep(20);
            }
        }
    }

    private static boolean ready(Admin admin, List<String> names) throws Exception {
        try {
            for (TopicDescription t : admin.describeTopics(names).allTopicNames().get().values()) {
                if (!t.partitions().stream().allMatch(i -> i.leader() != null && i.isr().size() == i.replicas().size())) {
                    return false;
                }
            }
            return true;
        } catch (ExecutionException e) {
            if (e.getCause() instanceof UnknownTopicOrPartitionException) return false;
            throw e;
        }
    }
}
