// CL12 (part). A URL without a path stands for the root, for a request, and for a WebSocket.

#include "wsutil.h"

static const char *urls[][2] = {
	{ "http://host", "/" },
	{ "http://host?a=b", "/?a=b" },
	{ "http://host/", "/" },
	{ "http://host/a?b", "/a?b" },
};

int
main(void)
{
	nng_stream_listener *l;
	nng_stream_dialer *  d;
	nng_sockaddr         sa;
	op                   a, b;
	char                 text[64];
	int                  rv;

	test_init();
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		nng_url *     url;
		nng_http_req *req;

		MUST(nng_url_parse(&url, urls[i][0]) == 0);
		MUST(nng_http_req_alloc(&req, url) == 0);
		CHECK(strcmp(nng_http_req_get_uri(req), urls[i][1]) == 0, "%s: the target is \"%s\"",
		    urls[i][0], nng_http_req_get_uri(req));
		nng_http_req_free(req);

		// A program may have put another target there, for a proxy or for OPTIONS.
		nng_strfree(url->u_requri);
		url->u_requri = nng_strdup("*");
		MUST(nng_http_req_alloc(&req, url) == 0);
		CHECK(strcmp(nng_http_req_get_uri(req), "*") == 0, "the target is \"%s\", not \"*\"",
		    nng_http_req_get_uri(req));
		nng_http_req_free(req);
		nng_url_free(url);
	}

	test_step = "a WebSocket without a path";
	op_init(&a);
	op_init(&b);
	MUST(nng_stream_listener_alloc(&l, "ws://127.0.0.1:0") == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	MUST(nng_stream_listener_get_addr(l, NNG_OPT_LOCADDR, &sa) == 0);
	(void) snprintf(text, sizeof(text), "ws://127.0.0.1:%d", ntohs(sa.s_in.sa_port));
	MUST(nng_stream_dialer_alloc(&d, text) == 0);
	nng_stream_listener_accept(l, op_start(&a));
	nng_stream_dialer_dial(d, op_start(&b));
	rv = op_wait(&b, 5000);
	CHECK(rv == 0, "the dial ends with %s", nng_strerror(rv));
	CHECK(op_wait(&a, 5000) == 0, "nothing is accepted");
	nng_stream_free(nng_aio_get_output(a.aio, 0));
	nng_stream_free(nng_aio_get_output(b.aio, 0));
	nng_stream_dialer_free(d);
	nng_stream_listener_free(l);
	return (test_ok("no path is the root"));
}
