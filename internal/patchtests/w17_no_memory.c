// W17. No memory for a message that was received, or for the headers of a connection, is an
// error like others.
// build: -Wl,--wrap=nni_msg_alloc -Wl,--wrap=nni_http_req_headers -Wl,--wrap=nni_http_res_headers

#include "wsutil.h"

int   __real_nni_msg_alloc(nng_msg **, size_t);
int   __wrap_nni_msg_alloc(nng_msg **, size_t);
char *__real_nni_http_req_headers(nng_http_req *);
char *__wrap_nni_http_req_headers(nng_http_req *);
char *__real_nni_http_res_headers(nng_http_res *);
char *__wrap_nni_http_res_headers(nng_http_res *);

static volatile bool fail;

int
__wrap_nni_msg_alloc(nng_msg **m, size_t n)
{
	return (fail ? NNG_ENOMEM : __real_nni_msg_alloc(m, n));
}

char *
__wrap_nni_http_req_headers(nng_http_req *req)
{
	return (fail ? NULL : __real_nni_http_req_headers(req));
}

char *
__wrap_nni_http_res_headers(nng_http_res *res)
{
	return (fail ? NULL : __real_nni_http_res_headers(res));
}

int
main(void)
{
	static const uint8_t frame[] = { 0x82, 0x85, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o' };
	nng_stream_listener *l;
	nng_stream *         s;
	nng_sockaddr         sa;
	op                   o;
	int                  fd;
	char                 head[1000], *str;

	test_init();
	op_init(&o);
	MUST(nng_stream_listener_alloc(&l, "ws://127.0.0.1:0/ws") == 0);
	MUST(nng_stream_listener_set_bool(l, "ws:msgmode", true) == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	MUST(nng_stream_listener_get_addr(l, NNG_OPT_LOCADDR, &sa) == 0);
	nng_stream_listener_accept(l, op_start(&o));
	fd = ws_ask(ntohs(sa.s_in.sa_port));
	ws_answer(fd, head, sizeof(head));
	MUST(op_wait(&o, 5000) == 0);
	s = nng_aio_get_output(o.aio, 0);

	fail      = true;
	test_step = "the headers";
	CHECK(nng_stream_get_string(s, NNG_OPT_WS_REQUEST_HEADERS, &str) == NNG_ENOMEM,
	    "no memory for the request's headers is no error");
	CHECK(nng_stream_get_string(s, NNG_OPT_WS_RESPONSE_HEADERS, &str) == NNG_ENOMEM,
	    "no memory for the response's headers is no error");
	test_step = "a message";
	nng_stream_recv(s, op_start(&o));
	MUST(send_all(fd, frame, sizeof(frame)));
	CHECK(op_wait(&o, 5000) == NNG_ENOMEM, "no memory for a message is no error");
	fail = false;
	nng_stream_free(s);
	nng_stream_listener_free(l);
	nng_fini();
	return (test_ok("no memory is an error like others"));
}
