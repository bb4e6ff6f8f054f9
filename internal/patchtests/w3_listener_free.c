// W3. Freeing a listener must come to an end when the handshake that it waits for fails.
// build: -Wl,--wrap=nni_http_write_res

#include "wsutil.h"

int  nni_aio_begin(nng_aio *);
void nni_aio_finish_error(nng_aio *, int);
void __wrap_nni_http_write_res(void *, void *, nng_aio *);

static nng_aio *volatile writing;

// The answer of the handshake is being written until main says that it has failed.
void
__wrap_nni_http_write_res(void *conn, void *res, nng_aio *aio)
{
	(void) conn;
	(void) res;
	MUST(nni_aio_begin(aio) == 0);
	writing = aio;
}

static void *
fail(void *arg)
{
	(void) arg;
	sleep_ms(500);
	nni_aio_finish_error(writing, NNG_ECONNRESET);
	return (NULL);
}

int
main(void)
{
	nng_stream_listener *l;
	int                  port;
	pthread_t            t;

	test_init();
	l = ws_listen(&port);
	ws_ask(port);
	while (writing == NULL) {
		sleep_ms(1);
	}
	sleep_ms(50); // the handler returns
	test_step = "free while a handshake fails";
	MUST(pthread_create(&t, NULL, fail, NULL) == 0);
	nng_stream_listener_free(l);
	return (test_ok("the listener is freed"));
}
