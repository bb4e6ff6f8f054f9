// P3 and P4. A request says once, and clearly, who is asked, for what, and where
// it ends (RFC 9112, 2.3, 3.2, 6.3), however its head is cut.

#include "headutil.h"

static void
head(const char *line, const char *fields, int want)
{
	char text[400];
	int  n = snprintf(text, sizeof(text), "%s\r\n%s\r\n", line, fields);

	MUST(n > 0 && (size_t) n < sizeof(text));
	each_req(text, (size_t) n, want, NULL);
}

static void
fields(const char *text, int want)
{
	head("POST / HTTP/1.1", text, want);
}

// target asks for the first text with the second one for a Host.
static void
target(const char *method, const char *const texts[2], int want)
{
	char line[200];
	char host[200];

	snprintf(line, sizeof(line), "%s %s HTTP/1.1", method, texts[0]);
	snprintf(host, sizeof(host), "Host: %s\r\n", texts[1]);
	head(line, host, want);
	snprintf(line, sizeof(line), "%s %s HTTP/1.0", method, texts[0]);
	head(line, host, want);
}

static const char *wanted_host;

static void
look_host(nng_http_req *req)
{
	const char *host = nng_http_req_get_header(req, "Host");

	CHECK((host == NULL) == (wanted_host == NULL) &&
	        (host == NULL || strcmp(host, wanted_host) == 0),
	    "%s: Host %s", nng_http_req_get_uri(req),
	    host == NULL ? "(none)" : host);
}

static void
host_is(const char *line, const char *want)
{
	char text[400];
	int  n = snprintf(text, sizeof(text), "%s\r\n\r\n", line);

	wanted_host = want;
	each_req(text, (size_t) n, 0, look_host);
}

#define H "Host: x\r\n"
#define CL "Content-Length: "
#define TE "Transfer-Encoding: "

// check_routes asks a server with a handler for the host "h", which redirects, and a
// handler of everything, which does not.
static void
check_routes(void)
{
	static const struct {
		const char *line, *host;
		int         status;
	} q[] = {
		{ "GET / HTTP/1.1", "Host: h\r\n", 302 },
		{ "GET / HTTP/1.1", "Host: H:80\r\n", 302 },
		{ "GET / HTTP/1.1", "Host: h.\r\n", 302 },
		{ "GET / HTTP/1.1", "Host: h.:80\r\n", 302 },
		{ "GET / HTTP/1.1", "Host: hh\r\n", 200 },
		{ "GET / HTTP/1.1", "Host: h.h\r\n", 200 },
		{ "GET / HTTP/1.1", "Host: h..\r\n", 200 },
		{ "GET / HTTP/1.0", "", 200 },
		{ "GET http://h/ HTTP/1.0", "", 302 },
		{ "GET http://h.:1/ HTTP/1.0", "", 302 },
		{ "GET http://g/ HTTP/1.0", "", 200 },
		{ "GET http://h/ HTTP/1.1", "Host: h:80\r\n", 302 },
		{ "GET http://h/ HTTP/1.1", "Host: g\r\n", 400 },
		{ "GET http://g/ HTTP/1.1", "Host: h\r\n", 400 },
		{ "GET http://g/ HTTP/1.1", "", 400 },
		{ "GET /%00 HTTP/1.1", "Host: g\r\n", 400 },
		{ "GET %2f HTTP/1.1", "Host: g\r\n", 400 },
		{ "GET  HTTP/1.1", "Host: h\r\nUpgrade: websocket\r\n", 302 },
	};
	nng_http_handler *h;
	server            s;

	server_open(&s, false);
	MUST(nng_http_handler_alloc_redirect(&h, "/", 302, "http://r/") == 0);
	MUST(nng_http_handler_set_host(h, "h") == 0);
	MUST(nng_http_server_add_handler(s.srv, h) == 0);
	MUST(nng_http_handler_alloc_static(&h, "/", "x", 1, "text/plain") == 0);
	MUST(nng_http_server_add_handler(s.srv, h) == 0);
	server_start(&s);
	for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
		char    buf[4000];
		char    want[20];
		size_t  n = 0;
		ssize_t got;
		int     fd = tcp_connect(s.port, 0);

		n = (size_t) snprintf(buf, sizeof(buf),
		    "%s\r\n%sConnection: close\r\n\r\n", q[i].line, q[i].host);
		MUST(send_all(fd, buf, n));
		for (n = 0; (got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0;
		     n += (size_t) got) {
		}
		buf[n] = '\0';
		close(fd);
		snprintf(want, sizeof(want), " %d ", q[i].status);
		CHECK(strstr(buf, want) == buf + 8, "%s, %s: not %d: %s",
		    q[i].line, q[i].host, q[i].status, buf);
	}
	nng_http_server_release(s.srv);
}

int
main(void)
{
	static const char *const good_lengths[] = { "0", "5", "005", "  5 ",
		"\t5", "9223372036854775807" };
	static const char *const bad_lengths[]  = { "", " ", "+5", "-1", "-0",
		"5,", "5, 5", "5,5", "5;", "5 5", "0x5", "5.0", "5e0", "5_0",
		"\"5\"", "five", "9223372036854775808",
		"18446744073709551616", "18446744073709551621",
		"-18446744073709551615", "99999999999999999999999999" };
	static const char *const good_codings[] = { "chunked", "Chunked",
		"CHUNKED  ", "gzip, chunked", "gzip,chunked", "gzip",
		"xchunked", "chunkedx", "chunked;q=1", "identity",
		", chunked,," };
	static const char *const bad_codings[] = { "", " ", ",", "chunked, gzip",
		"chunked,gzip", "chunked, identity", "chunked, chunked",
		"gzip, chunked, gzip", "chunked , x" };
	static const char *const good_hosts[] = { "", "x", "x:80", "x:",
		"[::1]:80", "[::1]", "[::ffff:1.2.3.4]:", "[ABCDEF::]:1",
		"[fe80::1%25lo]:80", "[fe80::1%lo]", "a,b",
		"%41", "a_b", "-._~!$&'()*+,;=%", "1.2.3.4:065536" };
	static const char *const bad_hosts[]  = { "a b", "u@h", "h/a", "h?a",
		"h#a", "a\\b", "a\tb", "\xc3\xa9", "a, b", "<a>", "\"a\"",
		"a|b", "a^b", "a`b", "{a}", "[::1", "[::1]x", "[::1]80",
		"[::1]]", "[[::1]]", "[zz]", "[]", "[1]", "[::1%]", "[::1%a:b]",
		"[::1%a[]", "[1%lo]", "[%lo]", "[v1.x]",
		"::1", "::1]", "a:b", "a:80:80", "a::80", "a:8 0", "a:-1", "a[::1]",
		"a]", "x:[::1]", ":80", ":" };
	// What the target names, and the Host that is the same.
	static const char *const same[][2] = {
		{ "http://h/", "h" }, { "http://h", "h" }, { "http://h?q", "h" },
		{ "HTTP://h/x?y", "H" }, { "http://H.Example/", "h.eXAMPLE" },
		{ "http://h:80/", "h" }, { "http://h/", "h:80" },
		{ "http://h:/", "h" }, { "http://h/", "h:" },
		{ "http://h:/", "h:80" }, { "http://h:81/", "h:81" },
		{ "https://h:443/", "h" }, { "HttpS://h", "h:443" },
		{ "http://[::1]/", "[::1]:80" }, { "http://[::A]:8", "[::a]:8" },
		{ "http://%41/", "%41" }, { "http://h/http://g/", "h" },
		{ "http://h?@g", "h" }, { "http://h/%2500?%00", "h" },
		{ "//g/", "h" }, { "/http://g/", "h" }, { "*", "h" },
		{ "ftp://g/", "h" }, { "/?%00", "h" }, { "/%0%30", "h" },
	};
	static const char *const differ[][2] = {
		{ "http://g/", "h" }, { "http://h/", "" }, { "http://h/", "h." },
		{ "http://hh/", "h" }, { "http://h/", "hh" },
		{ "http://h:81/", "h" }, { "http://h/", "h:81" },
		{ "http://h:81/", "h:8" }, { "http://h:443/", "h" },
		{ "https://h:80/", "h" }, { "https://h/", "h:80" },
		{ "https://g", "h" }, { "http://g?h", "h" },
		{ "http://h:080/", "h" }, { "http://[::1]/", "[::2]" },
		{ "http:///x", "" }, { "http:///x", "h" }, { "http://", "" },
		{ "http://?x", "" }, { "http://:80/", ":80" },
		{ "http://:80/", "" }, { "http://:/", "" },
		{ "http://u@h/", "h" }, { "http://h:80@g/", "h" },
		{ "http://h#/", "h" }, { "http://h\\/", "h" },
		{ "http://h:x/", "h" }, { "http://[::1/", "[::1]" },
		{ "http://[::1]x/", "[::1]" }, { "http://[zz]/", "h" },
		{ "http://a:80:80/", "a" }, { "http://::1/", "h" },
		{ "/%00", "h" }, { "/a%00/x.css", "h" }, { "/%%00?", "h" },
		{ "http://h/%00", "h" }, { "http://h%00/", "h%00" },
		{ "x%00", "h" },
	};
	static const char *const tunnels[][2] = {
		{ "h:80", "h:80" }, { "h:80", "h" }, { "H:443", "h" },
		{ "h", "h" }, { "[::1]:1", "[::1]:1" }, { "/a", "g" },
	};
	static const char *const no_tunnels[][2] = {
		{ "g:80", "h" }, { "h:80", "h:81" }, { "h:80", "" }, { ":80", "" },
		{ "http://h/", "h" }, { "h:80/", "h" }, { "h:80?", "h" },
		{ "*", "h" }, { "../h", "h" }, { "u@h:80", "h" }, { "h:x", "h" },
	};
	char text[200];

	test_init();
	alarm(120);
	test_step = "lengths";
	fields(H, 0);
	for (size_t i = 0; i < sizeof(good_lengths) / sizeof(char *); i++) {
		snprintf(text, sizeof(text), H CL "%s\r\n", good_lengths[i]);
		fields(text, 0);
	}
	for (size_t i = 0; i < sizeof(bad_lengths) / sizeof(char *); i++) {
		snprintf(text, sizeof(text), H CL "%s\r\n", bad_lengths[i]);
		fields(text, NNG_EPROTO);
	}
	fields(H CL "5\r\n" CL "5\r\n", NNG_EPROTO);
	fields(H CL "5\r\nX: y\r\ncontent-length: 6\r\n", NNG_EPROTO);
	fields(H CL "5\r\n" CL "\r\n", NNG_EPROTO);

	test_step = "codings";
	for (size_t i = 0; i < sizeof(good_codings) / sizeof(char *); i++) {
		snprintf(text, sizeof(text), H TE "%s\r\n", good_codings[i]);
		fields(text, 0);
		head("POST / HTTP/1.0", text, NNG_EPROTO);
	}
	for (size_t i = 0; i < sizeof(bad_codings) / sizeof(char *); i++) {
		snprintf(text, sizeof(text), H TE "%s\r\n", bad_codings[i]);
		fields(text, NNG_EPROTO);
	}
	fields(H TE "gzip\r\n" TE "chunked\r\n", 0);
	fields(H TE "chunked\r\nX: y\r\n" TE "chunked\r\n", NNG_EPROTO);
	fields(H TE "chunked\r\ntransfer-encoding: gzip\r\n", NNG_EPROTO);
	fields(H TE "chunked\r\n" CL "5\r\n", NNG_EPROTO);
	fields(H CL "0\r\n" TE "chunked\r\n", NNG_EPROTO);
	fields(H CL "5\r\n" TE "identity\r\n", NNG_EPROTO);

	test_step = "hosts";
	fields("X: y\r\n", 0); // the server looks for that
	for (size_t i = 0; i < sizeof(good_hosts) / sizeof(char *); i++) {
		snprintf(text, sizeof(text), "Host: %s\r\n", good_hosts[i]);
		fields(text, 0);
	}
	for (size_t i = 0; i < sizeof(bad_hosts) / sizeof(char *); i++) {
		snprintf(text, sizeof(text), "Host: %s\r\n", bad_hosts[i]);
		fields(text, NNG_EPROTO);
	}
	fields(H H, NNG_EPROTO);
	fields(H "X: y\r\nHOST: z\r\n", NNG_EPROTO);
	fields(H "Host:\r\n", NNG_EPROTO);
	head("GET / HTTP/1.0", H H, NNG_EPROTO);

	test_step = "targets";
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		target("GET", same[i], 0);
	}
	for (size_t i = 0; i < sizeof(differ) / sizeof(differ[0]); i++) {
		target("GET", differ[i], NNG_EPROTO);
	}
	for (size_t i = 0; i < sizeof(tunnels) / sizeof(tunnels[0]); i++) {
		target("CONNECT", tunnels[i], 0);
	}
	for (size_t i = 0; i < sizeof(no_tunnels) / sizeof(no_tunnels[0]); i++) {
		target("CONNECT", no_tunnels[i], NNG_EPROTO);
	}
	// Without the field the target's host is that which is looked for.
	host_is("GET http://h:81/x HTTP/1.0", "h:81");
	host_is("GET HTTPS://[::1]?x HTTP/1.0", "[::1]");
	host_is("CONNECT h:1 HTTP/1.0", "h:1");
	host_is("GET /http://h/ HTTP/1.0", NULL);
	host_is("GET http://h/x HTTP/1.1", NULL); // which the server refuses
	head("GET http:///x HTTP/1.0", "", NNG_EPROTO);
	head("GET http://[zz]/x HTTP/1.0", "", NNG_EPROTO);

	test_step = "request lines";
	head("GET / HTTP/1.0", "", 0);
	head("M-!#$%&'*+.^_`|~1 / HTTP/1.1", H, 0);
	head("GET / HTTP/2.0", H, 0); // which gets 505
	head("GET / HTTP/1.2", H, 0);
	head("GET / HTTP/1.2", "", NNG_EPROTO);
	head("GET / HTTP/2.0", "", 0);
	head("G(T / HTTP/1.1", H, NNG_EPROTO);
	head(" / HTTP/1.1", H, NNG_EPROTO);
	head(" GET / HTTP/1.1", H, NNG_EPROTO);
	head("GET  / HTTP/1.1", H, NNG_EPROTO);
	head("GET /  HTTP/1.1", H, NNG_EPROTO);
	head("GET / HTTP/1.1 ", H, NNG_EPROTO);
	head("GET  HTTP/1.1", H, NNG_EPROTO);
	// As nng's WebSocket dialers ask for the root.
	head("GET  HTTP/1.1", H "Upgrade: websocket\r\n", 0);
	head("GET  HTTP/1.1", H "Upgrade: h2c\r\n", NNG_EPROTO);
	head("POST  HTTP/1.1", H "Upgrade: websocket\r\n", NNG_EPROTO);
	head("GET  HTTP/1.1", H "Upgrade: websocket\r\nUpgrade: x\r\n",
	    NNG_EPROTO);
	head("GET  HTTP/1.1", H "Upgrade: x\r\nUpgrade: websocket\r\n",
	    NNG_EPROTO);
	head("GET ?x HTTP/1.1", H "Upgrade: websocket\r\n", 0);
	head("GET ?x HTTP/1.1", H, NNG_EPROTO);
	head("GET ? HTTP/1.1", H, NNG_EPROTO);
	head("OPTIONS ?x HTTP/1.1", H "Upgrade: websocket\r\n", NNG_EPROTO);
	// These would be a path once they are decoded.
	head("GET %2f HTTP/1.1", H, NNG_EPROTO);
	head("GET %2Fa HTTP/1.1", H "Upgrade: websocket\r\n", NNG_EPROTO);
	head("OPTIONS %2a HTTP/1.1", H, NNG_EPROTO);
	head("CONNECT %2fa HTTP/1.1", "Host: %2fa\r\n", NNG_EPROTO);
	head("CONNECT %41:1 HTTP/1.1", "Host: %41:1\r\n", NNG_EPROTO);
	head("GET / a HTTP/1.1", H, NNG_EPROTO);
	head("GET / HTTP/1", H, NNG_EPROTO);
	head("GET / HTTP/1.", H, NNG_EPROTO);
	head("GET / HTTP/1.x", H, NNG_EPROTO);
	head("GET / HTTP/1.10", H, NNG_EPROTO);
	head("GET / HTTP/01.1", H, NNG_EPROTO);
	head("GET / http/1.1", H, NNG_EPROTO);
	head("GET / HTTP 1.1", H, NNG_EPROTO);
	head("GET / FTP/1.1", H, NNG_EPROTO);
	head("GET / ", H, NNG_EPROTO);
	head("   ", H, NNG_EPROTO);

	test_step = "routes";
	check_routes();
	return (test_ok("requests are clear"));
}
