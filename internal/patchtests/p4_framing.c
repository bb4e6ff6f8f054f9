// P3 and P4. A request says once, and clearly, who is asked and where it ends
// (RFC 9112, 2.3, 3.2, 6.3), however its head is cut.

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

#define H "Host: x\r\n"
#define CL "Content-Length: "
#define TE "Transfer-Encoding: "

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
		"[::1]:80", "a,b", "%41", "a_b", "-._~!$&'()*+,;=:[]%" };
	static const char *const bad_hosts[]  = { "a b", "u@h", "h/a", "h?a",
		"h#a", "a\\b", "a\tb", "\xc3\xa9", "a, b", "<a>", "\"a\"",
		"a|b", "a^b", "a`b", "{a}" };
	char text[200];

	test_init();
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
	return (test_ok("requests are clear"));
}
