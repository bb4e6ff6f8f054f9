// W18. A listener is closed as a request for it comes: neither waits for the other. The
// thread with the request is held back here, before it locks the listener, until that stops
// its server.
// build: -Wl,--wrap=nni_http_server_stop -Wl,--wrap=nni_http_handler_get_data

#include "wsutil.h"

void  __real_nni_http_server_stop(nng_http_server *);
void  __wrap_nni_http_server_stop(nng_http_server *);
void *__real_nni_http_handler_get_data(nng_http_handler *);
void *__wrap_nni_http_handler_get_data(nng_http_handler *);

static volatile bool called, stopping;

void
__wrap_nni_http_server_stop(nng_http_server *s)
{
	stopping = true;
	__real_nni_http_server_stop(s);
}

void *
__wrap_nni_http_handler_get_data(nng_http_handler *h)
{
	called = true;
	while (!stopping) {
		sleep_ms(1); // ended by the alarm
	}
	sleep_ms(100);
	return (__real_nni_http_handler_get_data(h));
}

int
main(void)
{
	nng_stream_listener *l;
	int                  port, fd;

	test_init();
	l         = ws_listen(&port);
	fd        = ws_ask(port);
	test_step = "no request";
	while (!called) {
		sleep_ms(1);
	}
	test_step = "a listener is closed as a request comes";
	nng_stream_listener_close(l);
	nng_stream_listener_free(l);
	close(fd);
	return (test_ok("a listener closes, whatever comes"));
}
