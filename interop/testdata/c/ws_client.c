// A client with nng's own WebSocket streams: ws_client URL. It sends to an echo server
// and compares what comes back.
#include "ws_common.h"

int
main(int argc, char **argv)
{
	nng_stream_dialer *d;
	nng_stream        *s;
	nng_aio           *aio;
	static char        out[300000], in[sizeof(out)];
	size_t             sizes[] = { 1, 125, 126, 65535, 65536, sizeof(out) };

	must(argc == 2, "ws_client URL");
	check(nng_aio_alloc(&aio, NULL, NULL), "aio");
	check(nng_stream_dialer_alloc(&d, argv[1]), "dialer");
	check(nng_stream_dialer_set_string(d, NNG_OPT_WS_PROTOCOL, "c"), "protocol");
	nng_stream_dialer_dial(d, aio);
	nng_aio_wait(aio);
	check(nng_aio_result(aio), "dial");
	s = nng_aio_get_output(aio, 0);
	for (size_t i = 0; i < sizeof(out); i++) {
		out[i] = (char) (i * 31 + i / 251);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check(transfer(nng_stream_send, s, aio, out, sizes[i]), "send");
		check(transfer(nng_stream_recv, s, aio, in, sizes[i]), "recv");
		must(memcmp(in, out, sizes[i]) == 0, "the echo differs");
	}
	nng_stream_close(s);
	nng_stream_free(s);
	nng_stream_dialer_free(d);
	nng_aio_free(aio);
	puts("all echoed");
	return (0);
}
