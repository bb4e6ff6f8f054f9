// CL24. What says where a response ends is looked at also where there is no body, in
// HTTP/1.0, and in the trailer of a body in chunks.

#include "answerutil.h"

extern void nni_http_transact_conn_max(nng_http_conn *, nng_http_req *, nng_http_res *, size_t,
    nng_aio *) __attribute__((weak));

#define HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0"

// Without a maximum, as nng's own users have it, little is looked at.
static const struct {
	const char *answer;
	int         rv;
	int         rv_max; // with a maximum
	size_t      size;
	const char *method; // GET if NULL
} tests[] = {
	{ HEAD "Content-Length: x\r\n\r\n", 0, 0, 0, "CONNECT" },
	{ HEAD "Transfer-Encoding: gzip\r\n\r\n", 0, 0, 0, "CONNECT" },
	{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, 0, "CONNECT" },
	{ HEAD "Content-Length: 5\r\n\r\nhello", 0, 0, 5, "connect" },
	{ HEAD "Content-Length: 5\r\n\r\n", 0, 0, 0, "HEAD" },
	{ CHUNKED "\r\nA: b\r\nC:\r\n\r\n", 0, 0, 5 },
	{ CHUNKED "\r\nA: b\tc \xc3\xbc\r\n\r\n", 0, 0, 5 },
	{ CHUNKED ";x=\"\xc3\xbc\ty\"\r\n\r\n", 0, 0, 5 },
	{ CHUNKED "\r\nHTTP/1.1 200 OK\r\n\r\n", 0, NNG_EPROTO, 5 },
	{ CHUNKED "\r\n: b\r\n\r\n", 0, NNG_EPROTO, 5 },
	{ CHUNKED "\r\nA B: c\r\n\r\n", 0, NNG_EPROTO, 5 },
	{ CHUNKED "\r\nA: b\r\n c: d\r\n\r\n", 0, NNG_EPROTO, 5 },
	{ CHUNKED "\r\nA: b\x7f\r\n\r\n", NNG_EPROTO, NNG_EPROTO, 0 },
	{ CHUNKED ";x=\x01\r\n\r\n", NNG_EPROTO, NNG_EPROTO, 0 },
	{ "HTTP/1.1 103 Early Hints\r\nContent-Length: +0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 0,
	    NNG_EPROTO, 0 },
	{ "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 0, 0, 0 },
	{ "HTTP/1.1 204 No Content\r\nContent-Length: +5\r\n\r\n", 0, NNG_EPROTO, 0 },
	{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 0,
	    NNG_EPROTO, 0 },
	{ "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, 0 },
	{ "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: xchunked\r\n\r\n", 0, NNG_EPROTO, 0 },
	{ "HTTP/0.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0,
	    NNG_EPROTO, 5 },
	{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0,
	    NNG_EPROTO, 5 },
};

int
main(void)
{
	int              port   = answer_start();
	nng_http_client *client = client_open(port, false);
	op               o;

	test_init();
	op_init(&o);
	CHECK(nni_http_transact_conn_max != NULL, "there is no bound");
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		for (int with_max = 0; with_max < 2; with_max++) {
			nng_http_conn *conn = client_connect(client);
			nng_http_req * req  = make_req(port, "/");
			nng_http_res * res;
			void *         data;
			size_t         len;
			int            rv, want = with_max ? tests[i].rv_max : tests[i].rv;

			if (tests[i].method != NULL) {
				MUST(nng_http_req_set_method(req, tests[i].method) == 0);
			}
			MUST(nng_http_res_alloc(&res) == 0);
			answer    = tests[i].answer;
			test_step = answer;
			if (with_max) {
				nni_http_transact_conn_max(conn, req, res, 1000, op_start(&o));
			} else {
				nng_http_conn_transact(conn, req, res, op_start(&o));
			}
			rv = op_wait(&o, 10000);
			CHECK(rv == want, "the result is %d, not %d, max %d: %s", rv, want, with_max, answer);
			nng_http_res_get_data(res, &data, &len);
			CHECK(len == ((rv == 0) ? tests[i].size : 0), "%zu bytes with %s", len, answer);
			nng_http_conn_close(conn);
			nng_http_res_free(res);
			nng_http_req_free(req);
		}
	}
	for (int with_max = 0; with_max < 2; with_max++) {
		nng_http_conn *conn = client_connect(client);
		nng_http_req * req  = make_req(port, "/");
		nng_http_res * res;

		test_step = "bytes that nobody has asked for";
		MUST(nng_http_res_alloc(&res) == 0);
		answer = "HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n"
		         HEAD "Content-Length: 5\r\n\r\nsmile";
		if (with_max) {
			nni_http_transact_conn_max(conn, req, res, 1000, op_start(&o));
			MUST(op_wait(&o, 10000) == 0);
			nni_http_transact_conn_max(conn, req, res, 1000, op_start(&o));
			MUST(op_wait(&o, 10000) == NNG_EPROTO);
			nni_http_transact_conn_max(conn, req, res, 1000, op_start(&o));
			MUST(op_wait(&o, 10000) > 0);
		} else {
			nng_http_conn_transact(conn, req, res, op_start(&o));
			MUST(op_wait(&o, 10000) == 0);
			nng_http_conn_transact(conn, req, res, op_start(&o));
			MUST(op_wait(&o, 10000) == 0);
			MUST(nng_http_res_get_status(res) == 200);
		}
		nng_http_conn_close(conn);
		nng_http_res_free(res);
		nng_http_req_free(req);
	}
	return (test_ok("the framing of responses is looked at"));
}
