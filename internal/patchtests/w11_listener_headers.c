// W11. A listener takes headers for its answers, and sends them.

#include "wsutil.h"

int
main(void)
{
	nng_stream_listener *l;
	int                  port;
	char                 head[1000];

	test_init();
	l = ws_listen(&port);
	MUST(nng_stream_listener_set_string(
	         l, NNG_OPT_WS_RESPONSE_HEADER "X-One", "1") == 0);
	MUST(nng_stream_listener_set_string(
	         l, NNG_OPT_WS_RESPONSE_HEADER "X-Two", "2") == 0);
	ws_answer(ws_ask(port), head, sizeof(head));
	CHECK(strstr(head, "\r\nX-One: 1\r\n") != NULL, "X-One is missing");
	CHECK(strstr(head, "\r\nX-Two: 2\r\n") != NULL, "X-Two is missing");
	nng_stream_listener_free(l);
	return (test_ok("the headers are sent"));
}
