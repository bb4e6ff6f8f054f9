import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;

/**
 * An HTTP client for the tests: java Client.java URL. It ends with status 0 when the server
 * has done what a user of java.net.http expects.
 */
public class Client {
    static final HttpClient client = HttpClient.newBuilder()
            .proxy(HttpClient.Builder.NO_PROXY)
            .connectTimeout(Duration.ofSeconds(10))
            .build(); // HTTP/2 by default: the first request asks for an upgrade to h2c
    static String base;

    static HttpRequest.Builder request(String method, String path, BodyPublisher body) {
        return HttpRequest.newBuilder(URI.create(base + path)).timeout(Duration.ofSeconds(20)).method(method, body);
    }

    static HttpResponse<byte[]> send(HttpRequest.Builder request) throws Exception {
        return client.send(request.build(), BodyHandlers.ofByteArray());
    }

    static HttpResponse<byte[]> get(String path, String... headers) throws Exception {
        var request = request("GET", path, BodyPublishers.noBody());
        return send(headers.length > 0 ? request.headers(headers) : request);
    }

    static void check(HttpResponse<byte[]> res, int status, byte[] body, String... headers) {
        if (res.statusCode() != status) {
            throw new AssertionError(res + " instead of " + status);
        }
        if (body != null && !Arrays.equals(body, res.body())) {
            throw new AssertionError(res + ": " + res.body().length + " bytes instead of " + body.length);
        }
        for (int i = 0; i < headers.length; i += 2) {
            String got = res.headers().firstValue(headers[i]).orElse(null);
            if (!headers[i + 1].equals(got)) {
                throw new AssertionError(res + ": " + headers[i] + " is " + got + " instead of " + headers[i + 1]);
            }
        }
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] args) throws Exception {
        base = args[0];
        byte[] every = new byte[10240];
        for (int i = 0; i < every.length; i++) every[i] = (byte) i;
        byte[] many = new byte[3 << 20];
        new Random().nextBytes(many);
        byte[] digest = bytes(many.length + " " + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(many)));

        check(get("/hello"), 200, bytes("hello\n"), "Content-Length", "6");
        check(send(request("HEAD", "/hello", BodyPublishers.noBody())), 200, new byte[0], "Content-Length", "6");
        check(send(request("POST", "/echo?a=1&b=%20", BodyPublishers.ofByteArray(every))), 200, every,
                "X-Method", "POST", "X-Length", "10240", "X-Query", "a=1&b=%20");
        for (String method : List.of("PUT", "PATCH", "DELETE")) {
            check(send(request(method, "/echo", BodyPublishers.ofString("some"))), 200, bytes("some"), "X-Method", method);
        }
        check(send(request("POST", "/sum", BodyPublishers.ofByteArray(many))), 200, digest, "X-Length", "" + many.length);
        // Of a stream the length is not known.
        check(send(request("POST", "/sum", BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(many)))), 200, digest,
                "X-Length", "-1");
        check(send(request("POST", "/sum", BodyPublishers.ofByteArray(many)).expectContinue(true)), 200, digest);
        check(get("/parts"), 200, bytes("part 0\npart 1\npart 2\npart 3\npart 4\n"), "Transfer-Encoding", "chunked");
        check(get("/text", "Range", "bytes=3-7"), 206, bytes("defgh"), "Content-Range", "bytes 3-7/26");
        check(get("/text", "If-None-Match", "\"letters\""), 304, new byte[0], "ETag", "\"letters\"");
        check(get("/status/204"), 204, new byte[0]);
        check(get("/status/404"), 404, new byte[0]);
        check(get("/moved"), 302, null, "Location", "/hello");
        check(get("/nowhere"), 404, bytes("404 page not found\n"));
        check(get("/close"), 200, bytes("bye\n"), "Connection", "close");

        List<CompletableFuture<Void>> all = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            byte[] body = bytes(("message " + i + " ").repeat(50));
            all.add(client.sendAsync(request("POST", "/echo", BodyPublishers.ofByteArray(body)).build(), BodyHandlers.ofByteArray())
                    .thenAccept(res -> check(res, 200, body)));
        }
        CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).get();
        System.out.println("ok");
        System.exit(0); // not waiting for the client's threads
    }
}
