// S29. A connection, a stream, a listener, a dialer, or a client is freed by one thread as
// another cancels an operation on it, or as that times out: what the cancellation function
// uses is still there. The thread that calls it is held back before the first lock that it
// takes.
// build: -Wl,--wrap=pthread_mutex_lock

#include "wsutil.h"

#include <sys/prctl.h>

int __real_pthread_mutex_lock(pthread_mutex_t *);
int __wrap_pthread_mutex_lock(pthread_mutex_t *);

static volatile bool hold_expire, held;
static __thread int  hold_at; // of the locks that this thread takes, 0 for none

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

// cancelled waits until the read is being cancelled or timed out.
static pthread_t
cancelled(op *o, bool timeout)
{
	pthread_t t = 0;

	if (!timeout) {
		sleep_ms(50);
		MUST(pthread_create(&t, NULL, cancel_main, o->aio) == 0);
	}
	for (uint64_t end = now_ms() + 5000; !held;) {
		MUST(now_ms() < end);
		sleep_ms(1);
	}
	return (t);
}

static void
begin(op *o, char *buf, size_t size, bool timeout)
{
	op_init(o);
	if (size != 0) {
		op_buf(o, buf, size);
	}
	held        = false;
	hold_expire = timeout;
	nng_aio_set_timeout(o->aio, timeout ? 100 : NNG_DURATION_INFINITE);
}

static void
end(op *o, pthread_t t)
{
	CHECK(op_wait(o, 5000) > 0, "%s: it does not end", test_step);
	if (t != 0) {
		pthread_join(t, NULL);
	}
	hold_expire = false;
	nng_aio_free(o->aio);
}

static void
try_conn(bool timeout)
{
	int              port;
	int              lfd  = tcp_listen(&port);
	nng_http_client *cli  = client_open(port, false);
	nng_http_conn *  conn = client_connect(cli);
	char             buf[64];
	op               o;
	pthread_t        t;

	begin(&o, buf, sizeof(buf), timeout);
	nng_http_conn_read(conn, op_start(&o));
	t = cancelled(&o, timeout);
	nng_http_conn_close(conn);
	end(&o, t);
	nng_http_client_free(cli);
	close(lfd);
}

// try_stream takes the url of a listener, to which a dialer's is made with its port.
static void
try_stream(const char *url, const char *path, bool timeout)
{
	nng_stream_listener *l;
	nng_stream_dialer *  d;
	nng_stream *         s[2];
	nng_sockaddr         sa;
	char                 to[100];
	char                 buf[64];
	op                   o, p;
	pthread_t            t;

	test_step = url;
	MUST(nng_stream_listener_alloc(&l, url) == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	(void) snprintf(to, sizeof(to), "%s", url);
	if (path != NULL) {
		MUST(nng_stream_listener_get_addr(l, NNG_OPT_LOCADDR, &sa) == 0);
		(void) snprintf(to, sizeof(to), "%.*s:%d%s",
		    (int) (strrchr(url, ':') - url), url, ntohs(sa.s_in.sa_port), path);
	}
	MUST(nng_stream_dialer_alloc(&d, to) == 0);
	op_init(&o);
	op_init(&p);
	nng_stream_listener_accept(l, op_start(&p));
	nng_stream_dialer_dial(d, op_start(&o));
	MUST((op_wait(&o, 5000) == 0) && (op_wait(&p, 5000) == 0));
	s[0] = nng_aio_get_output(o.aio, 0);
	s[1] = nng_aio_get_output(p.aio, 0);
	nng_aio_free(o.aio);
	nng_aio_free(p.aio);

	begin(&o, buf, sizeof(buf), timeout);
	nng_stream_recv(s[0], op_start(&o));
	t = cancelled(&o, timeout);
	nng_stream_free(s[0]);
	end(&o, t);
	nng_stream_free(s[1]);
	nng_stream_dialer_free(d);
	nng_stream_listener_free(l);
}

// try_accept frees a listener as an accept is being cancelled.
static void
try_accept(const char *url, bool timeout)
{
	nng_stream_listener *l;
	op                   o;
	pthread_t            t;

	test_step = url;
	MUST(nng_stream_listener_alloc(&l, url) == 0);
	MUST(nng_stream_listener_listen(l) == 0);
	begin(&o, NULL, 0, timeout);
	nng_stream_listener_accept(l, op_start(&o));
	t = cancelled(&o, timeout);
	nng_stream_listener_free(l);
	end(&o, t);
}

// A deaf port is one where nobody answers: the system's backlog is full.
typedef struct {
	int port;
	int fd[5];
} deaf;

static void
deaf_open(deaf *p)
{
	struct sockaddr_in sa  = { 0 };
	socklen_t          len = sizeof(sa);

	p->fd[4]           = socket(AF_INET, SOCK_STREAM, 0);
	sa.sin_family      = AF_INET;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST((bind(p->fd[4], (void *) &sa, len) == 0) && (listen(p->fd[4], 0) == 0));
	MUST(getsockname(p->fd[4], (void *) &sa, &len) == 0);
	for (int i = 0; i < 4; i++) {
		p->fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void) connect(p->fd[i], (void *) &sa, len);
	}
	p->port = ntohs(sa.sin_port);
}

static void
deaf_close(deaf *p)
{
	for (int i = 0; i < 5; i++) {
		close(p->fd[i]);
	}
}

static nng_stream_dialer *
dialer_open(const char *scheme, int port)
{
	nng_stream_dialer *d;
	char               url[64];

	(void) snprintf(url, sizeof(url), "%s://127.0.0.1:%d/", scheme, port);
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	return (d);
}

// try_dial frees what dials as that is being cancelled.
static void
try_dial(const char *scheme, bool timeout)
{
	nng_stream_dialer *d;
	nng_http_client *  cli;
	deaf               peer;
	op                 o;
	pthread_t          t;

	test_step = "a dial";
	deaf_open(&peer);
	begin(&o, NULL, 0, timeout);
	if (scheme == NULL) {
		cli = client_open(peer.port, false);
		nng_http_client_connect(cli, op_start(&o));
		t = cancelled(&o, timeout);
		nng_http_client_free(cli);
	} else {
		d = dialer_open(scheme, peer.port);
		nng_stream_dialer_dial(d, op_start(&o));
		t = cancelled(&o, timeout);
		nng_stream_dialer_close(d);
		nng_stream_dialer_free(d);
	}
	end(&o, t);
	deaf_close(&peer);
}

// try_dials frees what has two dials, of which only the first has begun. Both end.
static void
try_dials(const char *scheme)
{
	nng_stream_dialer *d;
	nng_http_client *  cli;
	deaf               peer;
	op                 o[2];

	test_step = (scheme == NULL) ? "two connects of a client" : scheme;
	deaf_open(&peer);
	op_init(&o[0]);
	op_init(&o[1]);
	if (scheme == NULL) {
		cli = client_open(peer.port, false);
		nng_http_client_connect(cli, op_start(&o[0]));
		nng_http_client_connect(cli, op_start(&o[1]));
		sleep_ms(50);
		nng_http_client_free(cli);
	} else {
		d = dialer_open(scheme, peer.port);
		nng_stream_dialer_dial(d, op_start(&o[0]));
		nng_stream_dialer_dial(d, op_start(&o[1]));
		sleep_ms(50);
		nng_stream_dialer_free(d);
	}
	for (int i = 0; i < 2; i++) {
		int rv = op_wait(&o[i], 5000);

		CHECK(rv == NNG_ECLOSED, "%s: dial %d ends with %d", test_step, i, rv);
		nng_aio_free(o[i].aio);
	}
	deaf_close(&peer);
}

// A program's own functions (nng_aio_defer) may close and free what they have as their
// argument: they are none of those that nng waits for.
static pthread_mutex_t user = PTHREAD_MUTEX_INITIALIZER;
static volatile bool   in_cancel;

static void
close_cancel(nng_aio *aio, void *arg, int rv)
{
	nng_http_conn_close(arg);
	nng_aio_finish(aio, rv);
}

static void
free_cancel(nng_aio *aio, void *arg, int rv)
{
	nng_stream_dialer_free(arg);
	nng_aio_finish(aio, rv);
}

static void
client_cancel(nng_aio *aio, void *arg, int rv)
{
	nng_http_client_free(arg);
	nng_aio_finish(aio, rv);
}

static void
lock_cancel(nng_aio *aio, void *arg, int rv)
{
	(void) arg;
	in_cancel = true;
	pthread_mutex_lock(&user);
	nng_aio_finish(aio, rv);
	pthread_mutex_unlock(&user);
}

static void
try_foreign(void)
{
	int                port = sink_start();
	nng_http_client *  cli;
	nng_stream_dialer *d;
	nng_http_conn *    conn;
	pthread_t          t;
	char               url[64];
	op                 o;

	cli = client_open(port, false);

	test_step = "a handler's cancellation function closes the connection it has";
	conn      = client_connect(cli);
	op_init(&o);
	MUST(nng_aio_begin(op_start(&o)));
	nng_aio_defer(o.aio, close_cancel, conn);
	nng_aio_cancel(o.aio);
	MUST(op_wait(&o, 2000) == NNG_ECANCELED);
	nng_aio_free(o.aio);

	test_step = "... with a time-out";
	conn      = client_connect(cli);
	op_init(&o);
	nng_aio_set_timeout(o.aio, 50);
	MUST(nng_aio_begin(op_start(&o)));
	nng_aio_defer(o.aio, close_cancel, conn);
	CHECK(op_wait(&o, 3000) == NNG_ETIMEDOUT, "no time-out: the thread for time-outs hangs");
	nng_aio_free(o.aio);

	test_step = "a lock that the program's cancellation function takes";
	conn      = client_connect(cli);
	op_init(&o);
	MUST(nng_aio_begin(op_start(&o)));
	nng_aio_defer(o.aio, lock_cancel, conn);
	pthread_mutex_lock(&user);
	MUST(pthread_create(&t, NULL, cancel_main, o.aio) == 0);
	while (!in_cancel) {
		sleep_ms(1);
	}
	sleep_ms(20);
	nng_http_conn_close(conn);
	pthread_mutex_unlock(&user);
	pthread_join(t, NULL);
	MUST(op_wait(&o, 2000) == NNG_ECANCELED);
	nng_aio_free(o.aio);

	test_step = "a cancellation function frees a dialer";
	snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	MUST(nng_stream_dialer_alloc(&d, url) == 0);
	op_init(&o);
	MUST(nng_aio_begin(op_start(&o)));
	nng_aio_defer(o.aio, free_cancel, d);
	nng_aio_cancel(o.aio);
	MUST(op_wait(&o, 2000) == NNG_ECANCELED);
	nng_aio_free(o.aio);

	test_step = "a cancellation function frees a client";
	op_init(&o);
	MUST(nng_aio_begin(op_start(&o)));
	nng_aio_defer(o.aio, client_cancel, client_open(port, false));
	nng_aio_cancel(o.aio);
	MUST(op_wait(&o, 2000) == NNG_ECANCELED);
	nng_aio_free(o.aio);
	nng_http_client_free(cli);
}

int
main(void)
{
	char ipc[64];

	test_init();
	alarm(90); // there is much to wait for
	(void) snprintf(ipc, sizeof(ipc), "ipc:///tmp/nng-s29-%d", (int) getpid());
	for (int timeout = 0; timeout < 2; timeout++) {
		test_step = "a connection of HTTP";
		try_conn(timeout);
		try_stream("tcp://127.0.0.1:0", "", timeout);
		try_stream(ipc, NULL, timeout);
		try_stream("ws://127.0.0.1:0/ws", "/ws", timeout);
		try_accept("tcp://127.0.0.1:0", timeout);
		try_accept("tls+tcp://127.0.0.1:0", timeout);
		try_accept(ipc, timeout);
		try_accept("ws://127.0.0.1:0/ws", timeout);
		try_dial(NULL, timeout);
		try_dial("tcp", timeout);
		try_dial("tls+tcp", timeout);
		try_dial("ws", timeout);
	}
	try_dials(NULL);
	try_dials("tcp");
	try_dials("tls+tcp");
	try_foreign();
	return (test_ok("nothing is cancelled on what is freed"));
}
