// S16. A server with as many connections as it may have answers others with 503,
// over TLS too; it spends no more than a moment on each, and not on many at a time.
// What was hijacked does not count, and who leaves makes room.

#include "limits.h"

#define MAX 4
#define FLOOD 300

static nng_http_conn *taken[MAX];
static int            ntaken;

static void
hijack_cb(nng_aio *aio)
{
	nng_http_conn *conn = nng_aio_get_input(aio, 2);
	nng_http_req * req  = nng_aio_get_input(aio, 0);

	MUST(nng_http_hijack(conn) == 0);
	nng_http_req_free(req);
	taken[ntaken++] = conn;
	nng_aio_finish(aio, 0);
}

// refused checks that a request gets 503 and the end.
static void
refused(int port)
{
	int     fd = tcp_connect(port, 0);
	char    buf[2000];
	size_t  n = 0;
	ssize_t got;

	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	shutdown(fd, SHUT_WR);
	while ((got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0)) > 0) {
		n += (size_t) got;
	}
	buf[n] = '\0';
	CHECK(got == 0 && strncmp(buf, "HTTP/1.1 503", 12) == 0, "got \"%s\"", buf);
	CHECK(strstr(buf, "Retry-After: 1\r\n") != NULL &&
	        strstr(buf, "Connection: close\r\n") != NULL, "got \"%s\"", buf);
	close(fd);
}

static void
wait_conns(server *s, uint64_t n)
{
	uint64_t start = now_ms();
	while (stat_of(s, STAT_CONNS) != n) {
		CHECK(now_ms() - start < 10000, "%s: %d connections", test_step,
		    (int) stat_of(s, STAT_CONNS));
		sleep_ms(5);
	}
}

static void
over_tls(void)
{
	server           s;
	nng_http_client *c;
	nng_http_conn *  conn;
	nng_http_req *   req;
	nng_http_res *   res;
	op               o;
	int              fd;

	test_step = "over TLS";
	server_open(&s, true);
	server_add(&s, "/", hello_cb);
	set_limits(&s, 0, 0, 0, 0, 1);
	server_start(&s);
	fd = tcp_connect(s.port, 0);
	wait_conns(&s, 1);
	c    = client_open(s.port, true);
	conn = client_connect(c);
	req  = make_req(s.port, "/");
	MUST(nng_http_res_alloc(&res) == 0);
	op_init(&o);
	nng_http_conn_transact(conn, req, res, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	CHECK(nng_http_res_get_status(res) == 503, "over TLS: %d", nng_http_res_get_status(res));
	close(fd);
	wait_conns(&s, 0);
	nng_http_server_stop(s.srv);
}

int
main(void)
{
	server s;
	int    fd[MAX], flood[FLOOD];
	int    used, base;
	size_t n;

	test_init();
	alarm(60);
	server_open(&s, false);
	server_add(&s, "/", hello_cb);
	server_add(&s, "/hijack", hijack_cb);
	set_limits(&s, 0, 0, 0, 0, MAX);
	server_start(&s);

	for (int i = 0; i < MAX; i++) {
		fd[i] = tcp_connect(s.port, 0);
		get_hello(fd[i]);
	}
	test_step = "one more";
	refused(s.port);
	refused(s.port);
	CHECK(stat_of(&s, STAT_REFUSED) == 2, "not counted");
	get_hello(fd[0]);

	test_step = "one more, that is silent";
	silent_end(tcp_connect(s.port, 0), 900);

	test_step = "a flood";
	base      = count_fds();
	for (int i = 0; i < FLOOD; i++) {
		flood[i] = tcp_connect(s.port, 0);
	}
	sleep_ms(100);
	used = count_fds() - base - FLOOD;
	CHECK(used <= 64 + 8, "the server has %d descriptors for those that it refuses", used);
	for (int i = 0; i < FLOOD; i++) {
		(void) wait_end(flood[i], &n);
		close(flood[i]);
	}
	test_step = "after the flood";
	get_hello(fd[1]);
	while (count_fds() > base) {
		sleep_ms(5); // ended by the alarm
	}
	refused(s.port);

	test_step = "one leaves";
	close(fd[0]);
	wait_conns(&s, MAX - 1);
	fd[0] = tcp_connect(s.port, 0);
	get_hello(fd[0]);
	refused(s.port);

	test_step = "hijacked";
	for (int i = 0; i < MAX; i++) {
		say(fd[i], "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	wait_conns(&s, 0);
	get_hello(tcp_connect(s.port, 0));
	nng_http_server_stop(s.srv);
	nng_http_server_release(s.srv);
	over_tls();
	return (test_ok("others get 503"));
}
