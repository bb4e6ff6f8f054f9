// S30. What nng_fini waits for, and for how long: the first time neither for tasks nor for the
// reaper without end; the second time for what was not done the first time, and for tasks
// that come all the time not without end either.
// build: -Wl,--wrap=nni_reap,--wrap=nni_posix_pfd_fini,--wrap=nni_sp_tran_sys_fini,--wrap=nni_aio_sys_fini

#include "testutil.h"

void __real_nni_reap(void *, void *);
void __wrap_nni_reap(void *, void *);
void __real_nni_posix_pfd_fini(void *);
void __wrap_nni_posix_pfd_fini(void *);
void __real_nni_sp_tran_sys_fini(void);
void __wrap_nni_sp_tran_sys_fini(void);
void __real_nni_aio_sys_fini(void);
void __wrap_nni_aio_sys_fini(void);

static volatile int  slow;  // ms, for which a task is held back before it gives the reaper work
static volatile bool hold;  // the reaper is held back, up to the end of the first wait
static volatile bool held;
static nng_aio *     again; // its callback causes another one, up to the end of the second wait
static volatile bool stop;
static __thread bool own;

void
__wrap_nni_reap(void *list, void *item)
{
	if ((slow != 0) && !own) {
		held = true;
		sleep_ms(slow);
	}
	__real_nni_reap(list, item);
}

void
__wrap_nni_posix_pfd_fini(void *pfd)
{
	while (hold) {
		held = true;
		sleep_ms(5);
	}
	__real_nni_posix_pfd_fini(pfd);
}

void
__wrap_nni_sp_tran_sys_fini(void)
{
	hold = false;
	__real_nni_sp_tran_sys_fini();
}

void
__wrap_nni_aio_sys_fini(void)
{
	stop = true;
	nng_aio_free(again);
	again = NULL;
	__real_nni_aio_sys_fini();
}

static void
again_cb(void *arg)
{
	(void) arg;
	if (!stop && nng_aio_begin(again)) {
		nng_aio_finish(again, 0);
	}
}

static nng_stream_dialer *
dialer(const char *scheme, int port)
{
	nng_stream_dialer *d;
	char               url[64];

	(void) snprintf(url, sizeof(url), "%s://127.0.0.1:%d", scheme, port);
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	return (d);
}

static uint64_t
fini(void)
{
	uint64_t begun = now_ms();

	held = false;
	nng_fini();
	return (now_ms() - begun);
}

static void
dial(nng_stream_dialer *d, op *o, int want)
{
	op_init(o);
	nng_stream_dialer_dial(d, op_start(o));
	MUST((op_wait(o, 5000) == 0) == (want == 0));
}

int
main(void)
{
	nng_stream_dialer *d;
	nng_stream *       s;
	op                 o;
	int                port, lfd = tcp_listen(&port);
	int                free_port, ffd = tcp_listen(&free_port);
	uint64_t           ms;

	test_init();
	close(ffd);
	own = true;

	test_step = "nng_fini waits the first time for a reaper that does not end";
	d         = dialer("tcp", port);
	dial(d, &o, 0);
	s = nng_aio_get_output(o.aio, 0);
	nng_aio_free(o.aio);
	nng_stream_dialer_free(d);
	hold = true;
	nng_stream_free(s);
	ms = fini();
	CHECK(ms >= 450, "nng_fini did not wait for the reaper, but %d ms", (int) ms);

	test_step = "nng_fini waits again for what took too long";
	d         = dialer("tls+tcp", free_port);
	slow      = 750;
	dial(d, &o, 1);
	nng_aio_free(o.aio);
	nng_stream_dialer_close(d);
	nng_stream_dialer_free(d);
	(void) fini();
	slow = 0;

	test_step = "nng_fini waits the second time for tasks that do not end";
	stop = false;
	MUST(nng_aio_alloc(&again, again_cb, NULL) == 0);
	MUST(nng_aio_begin(again));
	nng_aio_finish(again, 0);
	ms = fini();
	CHECK(ms >= 450, "nng_fini waited %d ms", (int) ms);
	close(lfd);
	return (test_ok("nng_fini waits, and not forever"));
}
