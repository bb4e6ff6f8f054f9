// Helpers of the nng test programs in this folder. Every program uses only
// 127.0.0.1, exits 0 when the defect is absent, and dies by an alarm after 20 s.

#ifndef TESTUTIL_H
#define TESTUTIL_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>
#include <nng/supplemental/tls/tls.h>

#include "testcert.h"

static const char *test_step = "start";

#define CHECK(cond, ...)                               \
	do {                                           \
		if (!(cond)) {                         \
			printf("DEFECT: " __VA_ARGS__); \
			printf("\n");                  \
			fflush(stdout);                \
			_exit(1);                      \
		}                                      \
	} while (0)

// MUST is for what the test itself needs: a failure here is not the defect.
#define MUST(cond)                                                         \
	do {                                                               \
		if (!(cond)) {                                             \
			printf("BROKEN TEST: %s:%d: %s\n", __FILE__,       \
			    __LINE__, #cond);                              \
			fflush(stdout);                                    \
			_exit(3);                                          \
		}                                                          \
	} while (0)

static void
on_alarm(int sig)
{
	char    buf[200];
	ssize_t n;
	(void) sig;
	n = snprintf(buf, sizeof(buf), "DEFECT: hangs: %s\n", test_step);
	n = write(1, buf, (size_t) n);
	(void) n;
	_exit(2);
}

static inline void
test_init(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_alarm);
	alarm(20);
}

static inline int
test_ok(const char *why)
{
	printf("ok: %s\n", why);
	fflush(stdout);
	_exit(0); // leak checks are not the point here
}

static inline uint64_t
now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000);
}

static inline void
sleep_us(long us)
{
	struct timespec ts = { us / 1000000, (us % 1000000) * 1000 };
	nanosleep(&ts, NULL);
}

static inline void
sleep_ms(long ms)
{
	sleep_us(ms * 1000);
}

// spin_us waits a short time without leaving the CPU.
static inline void
spin_us(long us)
{
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	do {
		clock_gettime(CLOCK_MONOTONIC, &b);
	} while ((b.tv_sec - a.tv_sec) * 1000000 +
	        (b.tv_nsec - a.tv_nsec) / 1000 <
	    us);
}

static inline int
count_fds(void)
{
	int            n = 0;
	struct dirent *e;
	DIR *          d = opendir("/proc/self/fd");
	if (d == NULL) {
		return (-1);
	}
	while ((e = readdir(d)) != NULL) {
		n++;
	}
	closedir(d);
	return (n);
}

// ---- one nng operation at a time, with a bounded wait ----
typedef struct {
	nng_aio *       aio;
	pthread_mutex_t mtx;
	pthread_cond_t  cv;
	bool            done;
} op;

static void
op_cb(void *arg)
{
	op *o = arg;
	pthread_mutex_lock(&o->mtx);
	o->done = true;
	pthread_cond_broadcast(&o->cv);
	pthread_mutex_unlock(&o->mtx);
}

static inline void
op_init(op *o)
{
	pthread_mutex_init(&o->mtx, NULL);
	pthread_cond_init(&o->cv, NULL);
	o->done = false;
	MUST(nng_aio_alloc(&o->aio, op_cb, o) == 0);
}

static inline nng_aio *
op_start(op *o)
{
	o->done = false;
	return (o->aio);
}

// op_wait returns the result of the operation, or -1 when it does not come.
static inline int
op_wait(op *o, int ms)
{
	struct timespec ts;
	bool            done;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (ms % 1000) * 1000000L;
	if (ts.tv_nsec >= 1000000000L) {
		ts.tv_nsec -= 1000000000L;
		ts.tv_sec++;
	}
	pthread_mutex_lock(&o->mtx);
	while (!o->done) {
		if (pthread_cond_timedwait(&o->cv, &o->mtx, &ts) != 0) {
			break;
		}
	}
	done = o->done;
	pthread_mutex_unlock(&o->mtx);
	return (done ? nng_aio_result(o->aio) : -1);
}

static inline void
op_buf(op *o, void *buf, size_t len)
{
	nng_iov iov = { .iov_buf = buf, .iov_len = len };
	MUST(nng_aio_set_iov(o->aio, 1, &iov) == 0);
}

// conn_close_bounded says whether nng_http_conn_close came back in time.
typedef struct {
	nng_http_conn *conn;
	volatile bool  done;
} closer;

static void *
closer_main(void *arg)
{
	closer *c = arg;
	nng_http_conn_close(c->conn);
	c->done = true;
	return (NULL);
}

static inline bool
conn_close_bounded(nng_http_conn *conn, int ms)
{
	closer *  c = calloc(1, sizeof(*c)); // not freed: may be in use
	pthread_t t;
	uint64_t  end = now_ms() + (uint64_t) ms;
	c->conn       = conn;
	MUST(pthread_create(&t, NULL, closer_main, c) == 0);
	pthread_detach(t);
	while (!c->done && now_ms() < end) {
		sleep_ms(5);
	}
	return (c->done);
}

// ---- plain sockets ----
static inline int
tcp_listen(int *port)
{
	struct sockaddr_in sa;
	socklen_t          len = sizeof(sa);
	int                one = 1;
	int                fd  = socket(AF_INET, SOCK_STREAM, 0);
	MUST(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	memset(&sa, 0, sizeof(sa));
	sa.sin_family      = AF_INET;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(fd, (void *) &sa, sizeof(sa)) == 0);
	MUST(listen(fd, 512) == 0);
	MUST(getsockname(fd, (void *) &sa, &len) == 0);
	*port = ntohs(sa.sin_port);
	return (fd);
}

static inline int
tcp_connect(int port, int rcvbuf)
{
	struct sockaddr_in sa;
	int                fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(fd >= 0);
	if (rcvbuf != 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	}
	memset(&sa, 0, sizeof(sa));
	sa.sin_family      = AF_INET;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sa.sin_port        = htons((uint16_t) port);
	MUST(connect(fd, (void *) &sa, sizeof(sa)) == 0);
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return (fd);
}

static inline void
close_rst(int fd)
{
	struct linger l = { 1, 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

static inline bool
send_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0) {
			return (false);
		}
		p += n;
		len -= (size_t) n;
	}
	return (true);
}

// sink accepts connections and never says a word. It keeps the newest 256.
static void *
sink_main(void *arg)
{
	static int kept[256];
	int        fd = (int) (intptr_t) arg;
	for (unsigned i = 0;; i = (i + 1) % 256) {
		int a = accept(fd, NULL, NULL);
		if (kept[i] > 0) {
			close(kept[i]);
		}
		kept[i] = a;
	}
	return (NULL);
}

static inline int
sink_start(void)
{
	int       port;
	int       fd = tcp_listen(&port);
	pthread_t t;
	MUST(pthread_create(
	         &t, NULL, sink_main, (void *) (intptr_t) fd) == 0);
	return (port);
}

// ---- a relay for one connection, that can hold or cut it ----
typedef struct {
	int           lfd, port, to;
	volatile bool hold_down; // keep back what the server says
	volatile int  cut;       // 1: FIN to both sides, 2: RST to both sides
	volatile bool gone;
	volatile long up_bytes, down_bytes;
} relay;

static void *
relay_main(void *arg)
{
	relay *r = arg;
	char   buf[65536];
	int    a = accept(r->lfd, NULL, NULL);
	int    b = tcp_connect(r->to, 0);
	bool   a_end = false, b_end = false;
	while (r->cut == 0) {
		struct pollfd p[2] = { { a, a_end ? 0 : POLLIN, 0 },
			{ b, (b_end || r->hold_down) ? 0 : POLLIN, 0 } };
		ssize_t       n;
		poll(p, 2, 5);
		if (p[0].revents & POLLIN) {
			if ((n = recv(a, buf, sizeof(buf), 0)) > 0) {
				r->up_bytes += n;
				send_all(b, buf, (size_t) n);
			} else {
				shutdown(b, SHUT_WR);
				a_end = true;
			}
		}
		if (p[1].revents & POLLIN) {
			if ((n = recv(b, buf, sizeof(buf), 0)) > 0) {
				r->down_bytes += n;
				send_all(a, buf, (size_t) n);
			} else {
				shutdown(a, SHUT_WR);
				b_end = true;
			}
		}
		if (a_end && b_end) {
			break;
		}
		if ((p[0].revents | p[1].revents) == 0) {
			continue;
		}
	}
	if (r->cut == 2) {
		close_rst(a);
		close_rst(b);
	} else {
		close(a);
		close(b);
	}
	r->gone = true;
	return (NULL);
}

static inline relay *
relay_start(int to)
{
	relay *   r = calloc(1, sizeof(*r));
	pthread_t t;
	r->to  = to;
	r->lfd = tcp_listen(&r->port);
	MUST(pthread_create(&t, NULL, relay_main, r) == 0);
	return (r);
}

static inline void
relay_cut(relay *r, int how)
{
	r->cut = how;
	while (!r->gone) {
		sleep_ms(1);
	}
}

// ---- nng server and client ----
typedef struct {
	nng_http_server *srv;
	int              port;
} server;

static inline void
server_open(server *s, bool tls)
{
	nng_url *url;
	MUST(nng_url_parse(&url,
	         tls ? "https://127.0.0.1:0" : "http://127.0.0.1:0") == 0);
	MUST(nng_http_server_hold(&s->srv, url) == 0);
	nng_url_free(url);
	if (tls) {
		nng_tls_config *cfg;
		MUST(nng_tls_config_alloc(&cfg, NNG_TLS_MODE_SERVER) == 0);
		MUST(nng_tls_config_own_cert(
		         cfg, test_cert_pem, test_key_pem, NULL) == 0);
		MUST(nng_http_server_set_tls(s->srv, cfg) == 0);
		nng_tls_config_free(cfg);
	}
}

static inline void
server_start(server *s)
{
	nng_sockaddr sa;
	MUST(nng_http_server_start(s->srv) == 0);
	MUST(nng_http_server_get_addr(s->srv, &sa) == 0);
	s->port = ntohs(sa.s_in.sa_port);
}

static inline nng_http_handler *
server_add(server *s, const char *path, void (*cb)(nng_aio *))
{
	nng_http_handler *h;
	MUST(nng_http_handler_alloc(&h, path, cb) == 0);
	MUST(nng_http_handler_set_method(h, NULL) == 0);
	MUST(nng_http_server_add_handler(s->srv, h) == 0);
	return (h);
}

static inline nng_http_client *
client_open(int port, bool tls)
{
	char             buf[64];
	nng_url *        url;
	nng_http_client *c;
	snprintf(buf, sizeof(buf), "%s://127.0.0.1:%d/", tls ? "https" : "http",
	    port);
	MUST(nng_url_parse(&url, buf) == 0);
	MUST(nng_http_client_alloc(&c, url) == 0);
	nng_url_free(url);
	if (tls) {
		nng_tls_config *cfg;
		MUST(nng_tls_config_alloc(&cfg, NNG_TLS_MODE_CLIENT) == 0);
		MUST(nng_tls_config_ca_chain(cfg, test_cert_pem, NULL) == 0);
		MUST(nng_tls_config_server_name(cfg, "localhost") == 0);
		MUST(nng_http_client_set_tls(c, cfg) == 0);
		nng_tls_config_free(cfg);
	}
	return (c);
}

static inline nng_http_conn *
client_connect(nng_http_client *c)
{
	op             o;
	nng_http_conn *conn;
	op_init(&o);
	nng_http_client_connect(c, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	conn = nng_aio_get_output(o.aio, 0);
	nng_aio_free(o.aio);
	return (conn);
}

static inline nng_http_req *
make_req(int port, const char *path)
{
	char          buf[128];
	nng_url *     url;
	nng_http_req *req;
	snprintf(buf, sizeof(buf), "http://127.0.0.1:%d%s", port, path);
	MUST(nng_url_parse(&url, buf) == 0);
	MUST(nng_http_req_alloc(&req, url) == 0);
	nng_url_free(url);
	return (req);
}

// reply ends a handler's aio with a copy of some bytes.
static inline void
reply(nng_aio *aio, const void *data, size_t len)
{
	nng_http_res *res;
	MUST(nng_http_res_alloc(&res) == 0);
	if (len > 0) {
		MUST(nng_http_res_copy_data(res, data, len) == 0);
	} else {
		MUST(nng_http_res_set_data(res, NULL, 0) == 0);
	}
	nng_aio_set_output(aio, 0, res);
	nng_aio_finish(aio, 0);
}

#endif
