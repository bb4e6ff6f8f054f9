// S16. A server with limits closes connections whose peer is too slow, in every
// state that waits for the peer; one without limits, or a handler that takes its
// time, is left alone.

#include "limits.h"

#define HEAD 400
#define IDLE 1200

static char large[8 << 20];

static void
large_cb(nng_aio *aio)
{
	reply(aio, large, sizeof(large));
}

static void
slow_cb(nng_aio *aio)
{
	sleep_ms(3 * HEAD);
	reply(aio, "hello", 5);
}

static int
half_head(server *s)
{
	int fd = tcp_connect(s->port, 0);

	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n");
	return (fd);
}

int
main(void)
{
	server   s, free_server;
	size_t   n;
	uint64_t start, took;
	int      fd, kept;
	char     c;

	test_init();
	alarm(60);
	server_open(&free_server, false);
	server_add(&free_server, "/", hello_cb);
	server_start(&free_server);
	kept = half_head(&free_server);

	server_open(&s, false);
	server_add(&s, "/", hello_cb);
	server_add(&s, "/large", large_cb);
	server_add(&s, "/slow", slow_cb);
	server_add(&s, "/body", hello_cb);
	set_limits(&s, HEAD, IDLE, 0, HEAD, 0);
	server_start(&s);

	test_step = "nothing comes";
	silent_end(tcp_connect(s.port, 0), HEAD);
	CHECK(stat_of(&s, STAT_HEAD) == 1, "%s: not counted", test_step);

	test_step = "half a head";
	silent_end(half_head(&s), HEAD);

	test_step = "a head that trickles";
	fd        = tcp_connect(s.port, 0);
	start     = now_ms();
	say(fd, "GET / HTTP/1.1\r\nHost: ");
	do {
		CHECK(now_ms() - start < 10000, "a byte now and then keeps it");
		sleep_ms(20);
	} while (send_all(fd, "x", 1) &&
	    recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	close(fd);
	CHECK(stat_of(&s, STAT_HEAD) == 3, "%s: not counted", test_step);

	test_step = "idle";
	fd        = tcp_connect(s.port, 0);
	for (int i = 0; i < 3; i++) {
		get_hello(fd);
		sleep_ms(HEAD + HEAD / 2); // is less than idle connections have
	}
	get_hello(fd);
	silent_end(fd, IDLE);
	CHECK(stat_of(&s, STAT_IDLE) == 1, "%s: not counted", test_step);

	test_step = "half a later head";
	fd        = tcp_connect(s.port, 0);
	get_hello(fd);
	sleep_ms(HEAD / 2);
	say(fd, "G");
	silent_end(fd, HEAD);
	CHECK(stat_of(&s, STAT_HEAD) == 4, "%s: not counted", test_step);

	test_step = "half a later head in the same packet";
	fd        = tcp_connect(s.port, 0);
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /");
	took = wait_end(fd, &n);
	CHECK(n > 20 && took + 50 >= HEAD, "%zu bytes, %d ms", n, (int) took);
	close(fd);
	CHECK(stat_of(&s, STAT_HEAD) == 5, "%s: not counted", test_step);

	test_step = "a body that does not come";
	fd        = tcp_connect(s.port, 0);
	say(fd, "GET /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2048\r\n\r\nabc");
	silent_end(fd, HEAD + 2000);
	CHECK(stat_of(&s, STAT_BODY) == 1, "%s: not counted", test_step);

	test_step = "an answer that is not read";
	fd        = tcp_connect(s.port, 4096);
	start     = now_ms();
	say(fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
	while (stat_of(&s, STAT_WRITE) == 0) {
		CHECK(now_ms() - start < 10000, "it stays");
		sleep_ms(20);
	}
	CHECK(now_ms() - start >= HEAD, "closed early");
	while (stat_of(&s, STAT_CONNS) != 0) {
		CHECK(now_ms() - start < 10000, "it stays, although its time is over");
		sleep_ms(20);
	}
	close(fd);

	test_step = "a handler that takes its time";
	fd        = tcp_connect(s.port, 0);
	say(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
	took = wait_end(fd, &n);
	CHECK(n > 20 && took + 50 >= 3 * HEAD + IDLE, "%zu bytes, %d ms", n, (int) took);
	close(fd);

	test_step = "what the server refuses";
	fd        = tcp_connect(s.port, 0);
	say(fd, "GARBAGE\r\n\r\n");
	(void) wait_end(fd, &n);
	close(fd);
	CHECK(n > 20 && stat_of(&s, STAT_BAD_REQUEST) == 1, "%s: not counted", test_step);

	test_step = "limits that are set while it runs, and taken off";
	fd        = tcp_connect(free_server.port, 0);
	say(kept, "\r\n");
	set_limits(&free_server, 0, HEAD, 0, 0, 0);
	(void) wait_end(kept, &n);
	CHECK(n > 20, "no answer");
	MUST(recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	set_limits(&free_server, 0, 0, 0, 0, 0);
	get_hello(fd);
	sleep_ms(3 * HEAD);
	get_hello(fd);

	test_step = "stop with idle connections";
	fd        = tcp_connect(s.port, 0);
	get_hello(fd);
	nng_http_server_stop(s.srv);
	silent_end(fd, 0);
	nng_http_server_release(s.srv);
	nng_http_server_release(free_server.srv);
	return (test_ok("who is too slow is closed"));
}
