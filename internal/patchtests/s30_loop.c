// N3 and S30. nng_fini waits for tasks that the program's loop runs, too: here one that another
// thread has taken to run, and that is held back.
// build: -Wl,--wrap=nni_reap

#include "testutil.h"

// internal/nngloop/loop.h
extern int  nni_loop_take(int *) __attribute__((weak));
extern int  nni_loop_poll(bool) __attribute__((weak));
extern void nni_loop_enter(void) __attribute__((weak));
extern void nni_loop_leave(void) __attribute__((weak));

void __real_nni_reap(void *, void *);
void __wrap_nni_reap(void *, void *);

static volatile bool slow, stop;
static volatile int  held;
static __thread bool own; // the thread of main
static int           fd;

void
__wrap_nni_reap(void *list, void *item)
{
	if (slow && !own) {
		held++;
		sleep_ms(300);
	}
	__real_nni_reap(list, item);
}

static void *
loop_main(void *arg)
{
	while (!stop) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 20) > 0) {
			while (nni_loop_poll(true) == 1) {
			}
		}
	}
	return (arg);
}

int
main(void)
{
	nng_stream_dialer *d;
	op                 o;
	char               url[64];
	int                port, lfd = tcp_listen(&port);
	pthread_t          t;

	test_init();
	CHECK(nni_loop_take != NULL, "there is no loop");
	close(lfd);
	own = true;
	MUST(nni_loop_take(&fd) == 0);
	MUST(pthread_create(&t, NULL, loop_main, NULL) == 0);
	(void) snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%d", port);
	op_init(&o); // this one is nng's
	nni_loop_enter();
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	slow = true;
	nng_stream_dialer_dial(d, op_start(&o));
	nni_loop_leave();
	MUST(op_wait(&o, 5000) > 0);
	nng_aio_free(o.aio);
	nng_stream_dialer_close(d);
	nng_stream_dialer_free(d);
	test_step = "nng_fini";
	nng_fini();
	stop = true;
	pthread_join(t, NULL);
	CHECK(held != 0, "nothing was held back");
	return (test_ok("nng_fini waits for the loop's tasks"));
}
