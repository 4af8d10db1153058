// The wire form of Google's Java client, sent by the JDK alone: gzip'd bodies of unknown length, PATCH as a POST that
// overrides its method, an Accept header that asks for HTML first. Prints "name<TAB>status<TAB>body" per call.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.zip.GZIPOutputStream;

public class Client {
  private static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private static String root;

  public static void main(String[] args) throws Exception {
    root = args[0] + "/v1/";
    String store = args[1], bucket = args[2], out = args[3];
    String operation = call("import", "POST", store + ":import", "", "{\"gcsSource\":{\"uri\":\"gs://" + bucket + "/**\"}}");
    poll(operation);
    operation = call("export", "POST", store + ":export", "",
        "{\"gcsDestination\":{\"uriPrefix\":\"gs://" + out + "/d\"}}");
    poll(operation);
    call("patch", "POST", store + "?updateMask=labels", "PATCH", "{\"labels\":{\"k\":\"v\"}}");
    call("cancel", "POST", operation + ":cancel", "", "{}");
    call("missing", "GET", store + "-missing", "", null);
    call("wrong", "POST", store + ":import", "", "{\"gcsSource\":{\"uri\":\"gs://" + bucket + "/**/x\"}}");
  }

  private static void poll(String operation) throws Exception {
    while (!call("poll", "GET", operation, "", null).equals("done")) {
      Thread.sleep(50);
    }
  }

  /** One call; the name of the operation that it started, or "done" when it shows one that is. */
  private static String call(String name, String verb, String path, String override, String body) throws Exception {
    HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(root + path))
        .header("Accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2")
        .header("Accept-Encoding", "gzip")
        .header("User-Agent", "Google-HTTP-Java-Client/1.43.3 (gzip)");
    if (!override.isEmpty()) {
      request.header("x-http-method-override", override);
    }
    if (body == null) {
      request.method(verb, HttpRequest.BodyPublishers.noBody());
    } else {
      byte[] packed = gzip(body);
      request.header("Content-Type", "application/json; charset=UTF-8").header("Content-Encoding", "gzip");
      // A stream has no length: it is sent in chunks.
      request.method(verb, HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(packed)));
    }
    HttpResponse<String> answer = HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
    String text = answer.body().replaceAll("\\s*\n\\s*", " ").trim();
    System.out.println(name + "\t" + answer.statusCode() + "\t" + text);
    if (text.contains("\"done\": true")) {
      return "done";
    }
    return text.contains("/operations/") ? text.replaceAll("^.*?\"name\": \"([^\"]*)\".*$", "$1") : "";
  }

  private static byte[] gzip(String text) throws Exception {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (GZIPOutputStream stream = new GZIPOutputStream(packed)) {
      stream.write(text.getBytes(StandardCharsets.UTF_8));
    }
    return packed.toByteArray();
  }
}
