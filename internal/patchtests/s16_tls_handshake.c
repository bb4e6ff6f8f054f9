// S16. A server ends a TLS handshake that does not come to its end, and knows one
// that has from a request that has not come. It holds no connection that it has
// given up, for bytes that the peer does not take.

#include "limits.h"

#define LIMIT 400

static char large[32 << 20];

static void
large_cb(nng_aio *aio)
{
	reply(aio, large, sizeof(large));
}

static void
conn_say(nng_http_conn *conn, char *text)
{
	op o;

	op_init(&o);
	op_buf(&o, text, strlen(text));
	nng_http_conn_write_all(conn, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	nng_aio_free(o.aio);
}

static size_t
conn_hear(nng_http_conn *conn, char *buf, size_t size)
{
	op     o;
	size_t n;

	op_init(&o);
	op_buf(&o, buf, size);
	nng_http_conn_read(conn, op_start(&o));
	MUST(op_wait(&o, 5000) == 0);
	n = nng_aio_count(o.aio);
	nng_aio_free(o.aio);
	return (n);
}

int
main(void)
{
	server           s;
	nng_http_client *c;
	nng_http_conn *  conn;
	uint64_t         start;
	int              fds;
	char             buf[1000];

	test_init();
	alarm(60);
	server_open(&s, true);
	server_add(&s, "/", hello_cb);
	server_add(&s, "/large", large_cb);
	set_limits(&s, 0, 0, LIMIT, LIMIT, 0);
	server_start(&s);

	test_step = "a silent peer";
	silent_end(tcp_connect(s.port, 0), LIMIT);
	test_step = "half a handshake";
	int fd    = tcp_connect(s.port, 0);
	say(fd, "\x16\x03\x01\x02");
	silent_end(fd, LIMIT);
	CHECK(stat_of(&s, STAT_HANDSHAKE) == 2, "not counted");

	test_step = "half a head after the handshake";
	c         = client_open(s.port, true);
	conn      = client_connect(c);
	conn_say(conn, "GET / HTTP/1.1\r\n");
	sleep_ms(3 * LIMIT);
	conn_say(conn, "Host: x\r\n\r\n");
	CHECK(conn_hear(conn, buf, sizeof(buf)) > 12 &&
	        memcmp(buf, "HTTP/1.1 200", 12) == 0, "no 200");
	nng_http_conn_close(conn);

	test_step = "an answer that is not read";
	sleep_ms(300); // so that the last connection is gone
	fds       = count_fds();
	conn      = client_connect(c);
	conn_say(conn, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
	start     = now_ms();
	while (stat_of(&s, STAT_WRITE) == 0) {
		CHECK(now_ms() - start < 10000, "it stays");
		sleep_ms(10);
	}
	start = now_ms();
	while (count_fds() > fds + 1) {
		CHECK(now_ms() - start < 5000, "the server keeps its descriptor");
		sleep_ms(10);
	}
	return (test_ok("handshakes have a limit"));
}
