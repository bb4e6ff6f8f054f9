// An echo server with nng's own WebSocket streams: ws_server URL. It prints its port
// and serves one connection.
#include "ws_common.h"

int
main(int argc, char **argv)
{
	nng_stream_listener *l;
	nng_stream          *s;
	nng_aio             *aio;
	nng_sockaddr         sa;
	static char          buf[1 << 16];
	int                  rv;

	must(argc == 2, "ws_server URL");
	check(nng_aio_alloc(&aio, NULL, NULL), "aio");
	check(nng_stream_listener_alloc(&l, argv[1]), "listener");
	check(nng_stream_listener_listen(l), "listen");
	check(nng_stream_listener_get_addr(l, NNG_OPT_LOCADDR, &sa), "address");
	// In network byte order, so two bytes.
	uint8_t *port = (uint8_t *) &sa.s_in.sa_port;
	printf("%d\n", port[0] * 256 + port[1]);
	fflush(stdout);
	nng_stream_listener_accept(l, aio);
	nng_aio_wait(aio);
	check(nng_aio_result(aio), "accept");
	s = nng_aio_get_output(aio, 0);
	for (;;) {
		nng_iov iov = { .iov_buf = buf, .iov_len = sizeof(buf) };

		check(nng_aio_set_iov(aio, 1, &iov), "iov");
		nng_stream_recv(s, aio);
		nng_aio_wait(aio);
		if ((rv = nng_aio_result(aio)) != 0) {
			break;
		}
		check(transfer(nng_stream_send, s, aio, buf, nng_aio_count(aio)), "send");
	}
	printf("%s\n", nng_strerror(rv));
	nng_stream_close(s);
	nng_stream_free(s);
	nng_stream_listener_close(l);
	nng_stream_listener_free(l);
	nng_aio_free(aio);
	return (0);
}
