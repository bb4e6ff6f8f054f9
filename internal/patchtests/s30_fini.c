// S30. nng_fini waits for what has told its result and still has something to free. That is
// held back here.
// build: -Wl,--wrap=nni_reap

#include "testutil.h"

void __real_nni_reap(void *, void *);
void __wrap_nni_reap(void *, void *);

static volatile bool slow;

void
__wrap_nni_reap(void *list, void *item)
{
	if (slow) {
		sleep_ms(300);
	}
	__real_nni_reap(list, item);
}

int
main(void)
{
	nng_stream_dialer *d;
	op                 o;
	char               url[64];
	int                port, lfd = tcp_listen(&port);

	test_init();
	close(lfd);
	(void) snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%d", port);
	test_step = "nng_fini after a refused dial";
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	op_init(&o);
	slow = true;
	nng_stream_dialer_dial(d, op_start(&o));
	MUST(op_wait(&o, 5000) > 0);
	nng_aio_free(o.aio);
	nng_stream_dialer_close(d);
	nng_stream_dialer_free(d);
	nng_fini();
	return (test_ok("nng_fini waits"));
}
