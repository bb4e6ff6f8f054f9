// S23. Whoever sees an operation complete may free what it used. A cancellation function
// that nng calls without locks, for a time-out or a cancel, must have returned by then.
// The thread that calls it is held back here, before the first lock that it takes.
// build: -Wl,--wrap=pthread_mutex_lock

#include "testutil.h"

#include <sys/prctl.h>

int __real_pthread_mutex_lock(pthread_mutex_t *);
int __wrap_pthread_mutex_lock(pthread_mutex_t *);

static volatile bool      hold_expire, held;
static volatile bool      slow_expire; // at each lock
static __thread int       hold_at; // of the locks that this thread takes, 0 for none

static bool
expires(void)
{
	char name[17] = "";

	(void) prctl(PR_GET_NAME, name);
	return (strncmp(name, "nng:aio:expire", 14) == 0);
}

int
__wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	if (((hold_at != 0) && (--hold_at == 0)) || (hold_expire && !held && expires())) {
		held = true;
		sleep_ms(300);
	} else if (slow_expire && expires()) {
		sleep_ms(300);
	}
	return (__real_pthread_mutex_lock(m));
}

static void *
cancel_main(void *arg)
{
	hold_at = 2; // the first is that of the aio's queue
	nng_aio_cancel(arg);
	return (NULL);
}

// try_one reads from a peer that closes as the read is being cancelled or timed out, and
// closes the connection as soon as the read is complete.
static void
try_one(bool timeout)
{
	int              port;
	int              lfd  = tcp_listen(&port);
	nng_http_client *cli  = client_open(port, false);
	nng_http_conn *  conn = client_connect(cli);
	int              fd   = accept(lfd, NULL, NULL);
	char             buf[64];
	op               o;
	pthread_t        t;

	MUST(fd >= 0);
	op_init(&o);
	op_buf(&o, buf, sizeof(buf));
	held        = false;
	hold_expire = timeout;
	nng_aio_set_timeout(o.aio, timeout ? 100 : NNG_DURATION_INFINITE);
	nng_http_conn_read(conn, op_start(&o));
	if (!timeout) {
		sleep_ms(50);
		MUST(pthread_create(&t, NULL, cancel_main, o.aio) == 0);
	}
	for (uint64_t end = now_ms() + 5000; !held;) {
		MUST(now_ms() < end);
		sleep_ms(1);
	}
	close(fd);
	CHECK(op_wait(&o, 5000) != -1, "the read does not end");
	nng_http_conn_close(conn);
	if (!timeout) {
		pthread_join(t, NULL);
	}
	sleep_ms(400); // until who was held back has done what it does
	hold_expire = false;
	nng_aio_free(o.aio);
	nng_http_client_free(cli);
	close(lfd);
}

// fini_after ends the library as soon as an operation has timed out.
static void
fini_after(void)
{
	op o;

	op_init(&o);
	slow_expire = true;
	nng_sleep_aio(10, op_start(&o));
	CHECK(op_wait(&o, 5000) == 0, "the time is not over");
	nng_aio_free(o.aio);
	nng_fini();
	slow_expire = false;
}

int
main(void)
{
	test_init();
	test_step = "a connection is closed as its read times out";
	try_one(true);
	test_step = "a connection is closed as its read is cancelled";
	try_one(false);
	test_step = "nng_fini when an operation has timed out";
	fini_after();
	return (test_ok("nothing is cancelled on what is freed"));
}
