import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Compares what a producer was told with what Kafka's own consumer finds, and prints a verdict as one JSON object.
 * Arguments: bootstrap servers, read_uncommitted or read_committed, topic, file of what was sent.
 *
 * The file has a line for each record in the order of the sends, tab-separated:
 *     key  value  outcome  partition  offset
 * Values are unique: they identify the record. Outcome is `acknowledged` (must be there exactly once, in order, and at
 * that partition and offset where they are not -1), `unknown` (may be there once) or `failed` (must not be there).
 * A key that is empty in the file stands for no key, or the empty one.
 *
 * The verdict counts: records (stored), missing (acknowledged, not stored), duplicates (further copies), reordered
 * (acknowledged ones that stand behind a later one in their partition), misplaced (another key, partition or offset than
 * was told, or a key in two partitions), unexpected (never sent, or failed for certain), unknownStored (for information).
 */
public final class Verify {
    private static final int PROBLEMS_SHOWN = 10;
    private static final byte ACKNOWLEDGED = 1, UNKNOWN = 2, FAILED = 3;

    private static final Map<String, Integer> indexOf = new HashMap<>();
    private static final List<String> keys = new ArrayList<>();
    private static byte[] outcome = new byte[1024];
    private static int[] partition = new int[1024];
    private static long[] offset = new long[1024];

    private static final List<String> problems = new ArrayList<>();
    private static long records, missing, duplicates, reordered, misplaced, unexpected, unknownStored;

    public static void main(String[] args) throws Exception {
        read(Path.of(args[3]));
        int sent = keys.size();
        int[] copies = new int[sent];
        Map<Integer, Integer> lastInPartition = new HashMap<>();
        Map<String, Integer> partitionOfKey = new HashMap<>();
        ReadToEnd.each(args[0], args[1].equals("read_committed"), List.of(args[2]), r -> {
            records++;
            String value = text(r.value());
            String where = value + " at " + r.partition() + ":" + r.offset();
            Integer i = indexOf.get(value);
            if (i == null) {
                unexpected++;
                problem("never sent: " + where);
                return;
            }
            if (++copies[i] > 1) {
                duplicates++;
                problem("copy " + copies[i] + " of " + where);
                return;
            }
            String key = text(r.key());
            if (!key.equals(keys.get(i))) {
                misplaced++;
                problem("key is " + key + " and not " + keys.get(i) + ": " + where);
            }
            Integer home = key.isEmpty() ? null : partitionOfKey.putIfAbsent(key, r.partition());
            if (home != null && home != r.partition()) {
                misplaced++;
                problem("key " + key + " is in partition " + home + " also: " + where);
            }
            if (outcome[i] == FAILED) {
                unexpected++;
                problem("failed for certain, yet stored: " + where);
            }
            if (outcome[i] == UNKNOWN) unknownStored++;
            if (outcome[i] != ACKNOWLEDGED) return;
            if ((partition[i] >= 0 && partition[i] != r.partition()) || (offset[i] >= 0 && offset[i] != r.offset())) {
                misplaced++;
                problem("acknowledged at " + partition[i] + ":" + offset[i] + ": " + where);
            }
            int last = lastInPartition.getOrDefault(r.partition(), -1);
            if (i < last) {
                reordered++;
                problem("sent as number " + i + ", stored behind number " + last + ": " + where);
            } else {
                lastInPartition.put(r.partition(), i);
            }
        });
        for (Map.Entry<String, Integer> e : indexOf.entrySet()) {
            int i = e.getValue();
            if (outcome[i] == ACKNOWLEDGED && copies[i] == 0) {
                missing++;
                problem("acknowledged at " + partition[i] + ":" + offset[i] + ", not stored: " + e.getKey());
            }
        }
        StringBuilder shown = new StringBuilder();
        for (String p : problems) {
            shown.append(shown.isEmpty() ? "" : ",").append('"')
                .append(p.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", "?")).append('"');
        }
        System.out.println("{\"sent\":" + sent + ",\"records\":" + records + ",\"missing\":" + missing + ",\"duplicates\":"
            + duplicates + ",\"reordered\":" + reordered + ",\"misplaced\":" + misplaced + ",\"unexpected\":" + unexpected
            + ",\"unknownStored\":" + unknownStored + ",\"firstProblems\":[" + shown + "]}");
    }

    private static void read(Path file) throws Exception {
        try (BufferedReader in = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] part = line.split("\t", -1);
                int i = keys.size();
                if (i == outcome.length) {
                    outcome = java.util.Arrays.copyOf(outcome, 2 * i);
                    partition = java.util.Arrays.copyOf(partition, 2 * i);
                    offset = java.util.Arrays.copyOf(offset, 2 * i);
                }
                keys.add(part[0]);
                if (indexOf.put(part[1], i) != null) throw new IllegalArgumentException("value sent twice: " + part[1]);
                outcome[i] = switch (part[2]) {
                    case "acknowledged" -> ACKNOWLEDGED;
                    case "unknown" -> UNKNOWN;
                    case "failed" -> FAILED;
                    default -> throw new IllegalArgumentException("line " + (i + 1) + " has no outcome: " + line);
                };
                partition[i] = Integer.parseInt(part[3]);
                offset[i] = Long.parseLong(part[4]);
            }
        }
    }

    private static String text(byte[] bytes) {
        return bytes == null ? "" : new String(bytes, StandardCharsets.UTF_8);
    }

    private static void problem(String text) {
        if (problems.size() < PROBLEMS_SHOWN) problems.add(text);
    }
}
