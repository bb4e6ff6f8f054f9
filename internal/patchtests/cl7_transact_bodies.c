// CL7 and its kin. What a transaction returns is the body that the server has sent, or an
// error.

#include "answerutil.h"

#define OK_ "HTTP/1.1 200 OK\r\n"
#define CLOSE OK_ "Connection: close\r\n\r\n"

static const struct {
	const char *answer;
	bool        stay;
	const char *method;
	int         rv; // -1: any error
	int         status;
	const char *want;
} tests[] = {
	{ OK_ "Content-Length: 5\r\n\r\nhello", true, "GET", 0, 200, "hello" },
	{ OK_ "\r\nhello", false, "GET", 0, 200, "hello" },
	{ CLOSE "hello", false, "GET", 0, 200, "hello" },
	{ "HTTP/1.0 200 OK\r\n\r\nhello", false, "GET", 0, 200, "hello" },
	{ OK_ "\r\n", false, "GET", 0, 200, "" },
	{ OK_ "Content-Length: 5, 5\r\n\r\nhello", true, "GET", 0, 200, "hello" },
	{ OK_ "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", true, "GET", NNG_EPROTO, 0, "" },
	{ OK_ "Content-Length: 5, 05\r\n\r\nhello", true, "GET", NNG_EPROTO, 0, "" },
	{ OK_ "Content-Length: 5x\r\n\r\nhello", true, "GET", NNG_EPROTO, 0, "" },
	{ OK_ "Content-Length: 18446744073709551621\r\n\r\nhello", true, "GET", -1, 0, "" },
	{ OK_ "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, "GET", 0, 200, "hello" },
	{ OK_ "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, "GET", 0, 200, "hello" },
	{ OK_ "Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, "GET", NNG_EPROTO, 0, "" },
	{ OK_ "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, "GET", 0, 200, "" },
	{ OK_ "Transfer-Encoding: chunked\r\n\r\n", true, "HEAD", 0, 200, "" },
	{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", true, "GET", 0, 304, "" },
	{ "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", true, "GET", 0, 204, "" },
	{ "HTTP/1.1 103 Early Hints\r\n\r\n" OK_ "Content-Length: 5\r\n\r\nhello", true, "GET", 0, 200, "hello" },
	{ "HTTP/1.1 101 Switching Protocols\r\n\r\n", true, "GET", 0, 101, "" },
};

int
main(void)
{
	int              port   = answer_start();
	nng_http_client *client = client_open(port, false);
	nng_http_req *   req;
	nng_http_res *   res;
	void *           data;
	size_t           len;
	int              rv;
	op               o;

	test_init();
	op_init(&o);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		req = make_req(port, "/");
		MUST(nng_http_req_set_method(req, tests[i].method) == 0);
		MUST(nng_http_res_alloc(&res) == 0);
		answer    = tests[i].answer;
		stay      = tests[i].stay;
		test_step = answer;
		nng_http_client_transact(client, req, res, op_start(&o));
		rv = op_wait(&o, 3000);
		CHECK(rv != -1, "no end, with %s", answer);
		CHECK((rv == tests[i].rv) || ((tests[i].rv == -1) && (rv != 0)),
		    "the result is %d, with %s", rv, answer);
		if (rv == 0) {
			rv = nng_http_res_get_status(res);
			CHECK(rv == tests[i].status, "the status is %d, with %s", rv, answer);
			nng_http_res_get_data(res, &data, &len);
			CHECK((len == strlen(tests[i].want)) &&
			        (len == 0 || memcmp(data, tests[i].want, len) == 0),
			    "a body of %zu bytes, with %s", len, answer);
		}
		nng_http_res_free(res);
		nng_http_req_free(req);
	}

	// On a connection that stays, nng's own servers leave out the length of nothing.
	answer    = OK_ "\r\n";
	stay      = true;
	test_step = "no length on a connection that stays";
	{
		nng_http_conn *conn = client_connect(client);

		req = make_req(port, "/");
		MUST(nng_http_res_alloc(&res) == 0);
		nng_http_conn_transact(conn, req, res, op_start(&o));
		rv = op_wait(&o, 3000);
		CHECK(rv == 0, "the result is %d", rv);
		nng_http_conn_close(conn);
	}
	return (test_ok("bodies are what was sent"));
}
