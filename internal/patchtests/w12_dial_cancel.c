// W12. A dial that is cancelled just when it looks at the answer ends once.
// build: -Wl,--wrap=nni_http_res_get_status

#include "wsutil.h"

uint16_t __real_nni_http_res_get_status(const void *);
uint16_t __wrap_nni_http_res_get_status(const void *);

static nng_aio *volatile dial;
static volatile bool looked;
static volatile int  ended;

static void *
cancel_main(void *aio)
{
	nng_aio_cancel(aio);
	return (NULL);
}

// The cancel comes from a thread of its own, because it may have to wait for the dial.
uint16_t
__wrap_nni_http_res_get_status(const void *res)
{
	nng_aio * aio = dial;
	pthread_t t;

	if (aio != NULL) {
		dial = NULL;
		MUST(pthread_create(&t, NULL, cancel_main, aio) == 0);
		MUST(pthread_detach(t) == 0);
		sleep_ms(300);
		looked = true;
	}
	return (__real_nni_http_res_get_status(res));
}

static void
dialed(void *arg)
{
	(void) arg;
	__sync_fetch_and_add(&ended, 1);
}

int
main(void)
{
	nng_stream_listener *l;
	nng_stream_dialer *  d;
	nng_aio *            aio;
	int                  port, rv;

	test_init();
	l = ws_listen(&port);
	MUST(nng_aio_alloc(&aio, dialed, NULL) == 0);
	test_step = "dial";
	for (int i = 0; i < 2; i++) {
		if (i == 1) { // again with a refusal, status 400
			nng_stream_listener_close(l);
			nng_stream_listener_free(l);
			l = ws_listen(&port);
			MUST(nng_stream_listener_set_string(
			         l, NNG_OPT_WS_PROTOCOL, "x") == 0);
		}
		d      = ws_dialer(port);
		ended  = 0;
		looked = false;
		dial   = aio;
		nng_stream_dialer_dial(d, aio);
		while ((ended == 0) || (!looked)) {
			sleep_ms(1);
		}
		sleep_ms(300);
		MUST(dial == NULL);
		CHECK(ended == 1, "the dial ends %d times", ended);
		// The answer may also be faster than the cancel.
		rv = nng_aio_result(aio);
		CHECK((rv == NNG_ECANCELED) || (rv == ((i == 0) ? 0 : NNG_EPROTO)),
		    "the result is %s", nng_strerror(rv));
		if (rv == 0) {
			nng_stream_free(nng_aio_get_output(aio, 0));
		}
		nng_stream_dialer_free(d);
	}
	return (test_ok("a cancelled dial ends once"));
}
