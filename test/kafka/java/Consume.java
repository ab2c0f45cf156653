import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.kafka.common.header.Header;

/**
 * Prints what topics hold, one JSON object a line, keys and values in hex so that every byte can be compared.
 * Arguments: bootstrap servers, read_uncommitted or read_committed, topics.
 */
public final class Consume {
    public static void main(String[] args) {
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.UTF_8);
        ReadToEnd.each(args[0], args[1].equals("read_committed"), Arrays.asList(args).subList(2, args.length), r -> {
            StringBuilder line = new StringBuilder(256)
                .append("{\"topic\":").append(quoted(r.topic()))
                .append(",\"partition\":").append(r.partition())
                .append(",\"offset\":").append(r.offset())
                .append(",\"timestamp\":").append(r.timestamp())
                .append(",\"timestampType\":").append(quoted(r.timestampType().toString()))
                .append(",\"key\":").append(hex(r.key()))
                .append(",\"value\":").append(hex(r.value()))
                .append(",\"headers\":[");
            String comma = "";
            for (Header h : r.headers()) {
                line.append(comma).append('[').append(quoted(h.key())).append(',').append(hex(h.value())).append(']');
                comma = ",";
            }
            out.append(line).append("]}\n");
        });
        out.flush();
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? "null" : '"' + HexFormat.of().formatHex(bytes) + '"';
    }

    private static String quoted(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            if (c == '"' || c == '\\') b.append('\\').append(c);
            else if (c < 0x20) b.append(String.format("\\u%04x", (int) c));
            else b.append(c);
        }
        return b.append('"').toString();
    }
}
