// S16. Peers close, reset and speak at the very moment at which a limit ends
// their connection, in each state, thousands of times. Nothing may be freed
// twice or used when it is, no connection may stay, and the server serves on.

#include <stdatomic.h>

#include "limits.h"

#define LIMIT 50 // ms, of everything
#define THREADS 32
#define SECONDS 6

static char       large[4 << 20];
static server     plain, secure;
static atomic_int made;

static void
large_cb(nng_aio *aio)
{
	reply(aio, large, sizeof(large));
}

// What the peer has sent when it falls silent, and whether it waits for an
// answer before that.
static const struct {
	const char *text;
	bool        answer;
	bool        moves;
} states[] = {
	{ "", false, false },
	{ "GET / HTTP/1.1\r\nHost: x\r\n", false, false },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, false },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", true, false },
	{ "GET /body HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nabc", false, false },
	{ "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", false, true },
	{ "\x16\x03\x01\x02", false, false },
};

static void *
client_main(void *arg)
{
	unsigned seed = (unsigned) (uintptr_t) arg;
	uint64_t end  = now_ms() + SECONDS * 1000;
	char     buf[256];

	while (now_ms() < end) {
		unsigned       r     = (unsigned) rand_r(&seed);
		size_t         state = (r >> 3) % (sizeof(states) / sizeof(states[0]));
		server *       s     = (r & 4) ? &secure : &plain;
		struct timeval tv    = { 2, 0 };
		int            fd    = tcp_connect(s->port, 4096);

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		(void) send_all(fd, states[state].text, strlen(states[state].text));
		if (states[state].answer && s == &plain) {
			(void) recv(fd, buf, sizeof(buf), 0);
		}
		// The sweep is late by up to two of its ticks; what is sent moves
		// until the system has given up to wait for acknowledgements.
		sleep_us(LIMIT * 1000 - 3000 + (long) ((r >> 8) % 24000) +
		    (states[state].moves ? 45000 : 0));
		switch (r & 3) {
		case 0:
			close(fd);
			break;
		case 1:
			close_rst(fd);
			break;
		case 2:
			(void) send_all(fd, "\r\n", 2);
			(void) recv(fd, buf, sizeof(buf), 0);
			close(fd);
			break;
		default:
			shutdown(fd, SHUT_WR);
			(void) recv(fd, buf, sizeof(buf), 0);
			close_rst(fd);
		}
		atomic_fetch_add(&made, 1);
	}
	return (NULL);
}

int
main(void)
{
	pthread_t t[THREADS];
	server *  servers[] = { &plain, &secure };

	test_init();
	alarm(90);
	for (int i = 0; i < 2; i++) {
		server *s = servers[i];
		server_open(s, i == 1);
		server_add(s, "/", hello_cb);
		server_add(s, "/body", hello_cb);
		server_add(s, "/large", large_cb);
		set_limits(s, LIMIT, LIMIT, LIMIT, LIMIT, 0);
		server_start(s);
	}
	for (int i = 0; i < THREADS; i++) {
		MUST(pthread_create(&t[i], NULL, client_main, (void *) (uintptr_t) (i + 1)) == 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
	}
	test_step = "after the storm";
	get_hello(tcp_connect(plain.port, 0));
	for (int i = 0; i < 2; i++) {
		uint64_t start = now_ms();
		while (stat_of(servers[i], STAT_CONNS) != 0) {
			CHECK(now_ms() - start < 10000, "connections stay");
			sleep_ms(10);
		}
		for (int k = STAT_HEAD; k <= STAT_WRITE; k++) {
			printf("%d ", (int) stat_of(servers[i], k));
		}
		nng_http_server_stop(servers[i]->srv);
		nng_http_server_release(servers[i]->srv);
	}
	printf("of %d\n", atomic_load(&made));
	return (test_ok("the server has survived"));
}
