// P5. The name of a field is a token (RFC 9110, 5.1), with nothing before it and
// no blank behind it (RFC 9112, 5.1 and 5.2), however the head is cut.

#include "headutil.h"

static void
field(const char *line, int want)
{
	char head[300];
	int  n = snprintf(head, sizeof(head),
	     "GET / HTTP/1.1\r\nHost: x\r\n%s\r\nY: 1\r\n\r\n", line);

	MUST(n > 0 && (size_t) n < sizeof(head));
	each_req(head, (size_t) n, want, NULL);
}

int
main(void)
{
	static const char token[] =
	    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char line[200];

	test_init();
	MUST(nng_http_req_alloc(&(nng_http_req *) { NULL }, NULL) == 0);

	test_step = "good names";
	snprintf(line, sizeof(line), "%s: 1", token);
	field(line, 0);
	field("X:", 0);
	field("X:\t1 ", 0);
	field("X: a:b : c", 0);

	test_step = "bad names";
	field("Content-Length : 5", NNG_EPROTO);
	field("Content-Length\t: 5", NNG_EPROTO);
	field(" Content-Length: 5", NNG_EPROTO);
	field("\tContent-Length: 5", NNG_EPROTO);
	field(" folded", NNG_EPROTO);
	field(" fol:ded", NNG_EPROTO);
	field("Transfer Encoding: chunked", NNG_EPROTO);
	field("\x7fTransfer-Encoding: chunked", NNG_EPROTO);
	field(": 1", NNG_EPROTO);
	field(" : 1", NNG_EPROTO);
	field("X", NNG_EPROTO);
	field("X: \x7f", NNG_EPROTO);

	// A field in the place of the first one.
	each_req("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 29, NNG_EPROTO, NULL);
	each_req("GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", 29, NNG_EPROTO, NULL);

	test_step = "each byte in a name";
	for (int c = 1; c < 256; c++) {
		bool good = (strchr(token, c) != NULL) || (c == ':');
		char name[20];

		if (c == '\n') {
			continue;
		}
		snprintf(name, sizeof(name), "X%cY: 1", c);
		field(name, good ? 0 : NNG_EPROTO);
		snprintf(name, sizeof(name), "%cY: 1", c);
		field(name, (good && c != ':') ? 0 : NNG_EPROTO);
	}
	return (test_ok("names are tokens"));
}
