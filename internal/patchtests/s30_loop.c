// N3 and S30. nng_fini waits for tasks that the program's loop runs, too.
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

// try_taken has a task that another thread has taken to run, and that is held back.
static void
try_taken(void)
{
	nng_stream_dialer *d;
	op                 o;
	char               url[64];
	int                port, lfd = tcp_listen(&port);
	pthread_t          t;

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
	test_step = "nng_fini, a task is held back";
	nng_fini();
	slow = false;
	stop = true;
	pthread_join(t, NULL);
	CHECK(held != 0, "nothing was held back");
}

static nng_aio *     other;
static op            told;
static volatile bool running, done;

static void
other_cb(void *arg)
{
	(void) arg;
	sleep_ms(100);
}

// waiting_cb tells its result, waits for another task, and goes on then, as nng's may.
static void
waiting_cb(void *arg)
{
	(void) arg;
	running = true;
	nng_aio_finish(told.aio, 0);
	nng_aio_wait(other);
	sleep_ms(200);
	nng_aio_free(other);
	done = true;
}

// long_cb takes longer than nng_fini gives to tasks that cause others.
static void
long_cb(void *arg)
{
	(void) arg;
	running = true;
	sleep_ms(1600);
	done = true;
}

// leave_main runs a task in nni_loop_leave.
static void *
leave_main(void *arg)
{
	nng_aio *aio;

	nni_loop_enter();
	MUST(nng_aio_alloc(&aio, *(void (**)(void *)) arg, NULL) == 0);
	MUST(nng_aio_begin(aio));
	nng_aio_finish(aio, 0);
	nni_loop_leave();
	return (NULL);
}

// try_leave has a task that a thread runs in nni_loop_leave.
static void
try_leave(void (*cb)(void *))
{
	pthread_t t;

	MUST(nni_loop_take(&fd) == 0);
	op_init(&told);
	MUST(nng_aio_begin(op_start(&told)));
	MUST(nng_aio_alloc(&other, other_cb, NULL) == 0);
	MUST(nng_aio_begin(other));
	nng_aio_finish(other, 0);
	running = done = false;
	MUST(pthread_create(&t, NULL, leave_main, &cb) == 0);
	while (!running) {
		sleep_ms(1);
	}
	if (cb == waiting_cb) {
		MUST(op_wait(&told, 5000) == 0);
	} else {
		nng_aio_finish(told.aio, 0);
		MUST(op_wait(&told, 5000) == 0);
		nng_aio_free(other);
	}
	nng_aio_free(told.aio);
	nng_fini();
	CHECK(done, "nng_fini has not waited for the task");
	pthread_join(t, NULL);
}

int
main(void)
{
	test_init();
	CHECK(nni_loop_take != NULL, "there is no loop");
	try_taken();
	test_step = "nng_fini, a task waits for another";
	try_leave(waiting_cb);
	test_step = "nng_fini, a task takes long";
	try_leave(long_cb);
	return (test_ok("nng_fini waits for the loop's tasks"));
}
