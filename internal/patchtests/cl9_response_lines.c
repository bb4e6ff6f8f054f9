// CL9. The lines of a response that a client has to understand (RFC 9112, 2.2, 4,
// 5.1 and 5.2), however they are cut.

#include "headutil.h"

static const char *want_x;
static const char *want_reason;
static int         want_status;

static void
look(nng_http_res *res)
{
	const char *x = nng_http_res_get_header(res, "X");

	CHECK(nng_http_res_get_status(res) == want_status, "status %d, not %d",
	    nng_http_res_get_status(res), want_status);
	CHECK(strcmp(nng_http_res_get_reason(res), want_reason) == 0,
	    "reason %s", nng_http_res_get_reason(res));
	CHECK(x != NULL && strcmp(x, want_x) == 0, "X is \"%s\", not \"%s\"",
	    x != NULL ? x : "NULL", want_x);
}

static void
good(const char *head, int status, const char *reason, const char *x)
{
	want_status = status;
	want_reason = reason;
	want_x      = x;
	each_res(head, strlen(head), 0, look);
}

static void
bad(const char *head)
{
	each_res(head, strlen(head), NNG_EPROTO, NULL);
}

int
main(void)
{
	test_init();
	MUST(nng_http_res_alloc(&(nng_http_res *) { NULL }) == 0);

	test_step = "status lines";
	good("HTTP/1.1 200 OK\r\nX: y\r\n\r\n", 200, "OK", "y");
	good("HTTP/1.1 404 Gone fishing\r\nX: y\r\n\r\n", 404, "Gone fishing",
	    "y");
	good("HTTP/1.1 204 \r\nX: y\r\n\r\n", 204, "", "y");
	good("HTTP/1.1 204\r\nX: y\r\n\r\n", 204, "", "y");
	good("HTTP/1.0 599 \xe9\t!\r\nX: y\r\n\r\n", 599, "\xe9\t!", "y");
	good("\r\nHTTP/1.1 500 Broken\r\nX: y\r\n\r\n", 500, "Broken", "y");
	good("\r\n\n\r\nHTTP/1.1 500 Broken\r\nX: y\r\n\r\n", 500, "Broken",
	    "y");
	bad("HTTP/1.1 \r\nX: y\r\n\r\n");
	bad("HTTP/1.1\r\nX: y\r\n\r\n");
	bad("HTTP/1.1 20 OK\r\nX: y\r\n\r\n");
	bad("HTTP/1.1 2000 OK\r\nX: y\r\n\r\n");
	bad("HTTP/1.1 +20 OK\r\nX: y\r\n\r\n");
	bad("HTTP/1.1 -20 OK\r\nX: y\r\n\r\n");
	bad("HTTP/1.1 200abc OK\r\nX: y\r\n\r\n");
	bad("HTTP/1.1  200 OK\r\nX: y\r\n\r\n");
	bad("HTTP/1.1 099 OK\r\nX: y\r\n\r\n");
	bad(" 200 OK\r\nX: y\r\n\r\n");
	bad("HTTP/ 200 OK\r\nX: y\r\n\r\n");
	bad("HTTP/1 200 OK\r\nX: y\r\n\r\n");
	bad("HTTP/1.11 200 OK\r\nX: y\r\n\r\n");
	bad("XHTTP/1.1 200 OK\r\nX: y\r\n\r\n");

	test_step = "values that go on";
	good("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", 200, "OK", "a b");
	good("HTTP/1.1 200 OK\r\nX: a\r\n\t b \t\r\nY: c\r\n\r\n", 200, "OK",
	    "a b");
	good("HTTP/1.1 200 OK\r\nX:\r\n a\r\n  b: c\r\n\r\n", 200, "OK",
	    "a b: c");
	good("HTTP/1.1 200 OK\r\nX: a\r\nX: b\r\n c\r\nx: d\r\n\r\n", 200,
	    "OK", "a, b c, d");
	bad("HTTP/1.1 200 OK\r\n X: a\r\n\r\n");

	test_step = "blanks before the colon";
	good("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", 200, "OK", "y");
	good("HTTP/1.1 200 OK\r\nX \t: y : z\r\n\r\n", 200, "OK", "y : z");
	bad("HTTP/1.1 200 OK\r\nX y: z\r\n\r\n");
	bad("HTTP/1.1 200 OK\r\n: z\r\n\r\n");
	bad("HTTP/1.1 200 OK\r\nX\r\n\r\n");

	test_step = "a control character";
	bad("HTTP/1.1 200 OK\r\nX: \x7f\r\n\r\n");
	bad("HTTP/1.1 200 O\x7fK\r\nX: y\r\n\r\n");
	return (test_ok("responses are understood"));
}
