// What the servers have in common: one handler on a port that the system chooses.
// Used as PROGRAM [CERT-AND-KEY.pem]; with the file it speaks https. The port goes to
// standard output, and the end of standard input ends the program.

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>
#include <nng/supplemental/tls/tls.h>

#define UPGRADED                           \
	"HTTP/1.1 101 Switching Protocols\r\n" \
	"Connection: Upgrade\r\n"              \
	"Upgrade: bench\r\n\r\n"

static void
check(const char *what, int rv)
{
	if (rv != 0) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

static int
serve(int argc, char **argv, void (*handle)(nng_aio *))
{
	nng_url *         url;
	nng_http_server * server;
	nng_http_handler *handler;
	nng_sockaddr      addr;
	char              buf[64];

	check("url", nng_url_parse(&url, argc > 1 ? "https://127.0.0.1:0" : "http://127.0.0.1:0"));
	check("hold", nng_http_server_hold(&server, url));
	if (argc > 1) {
		nng_tls_config *tls;
		check("tls", nng_tls_config_alloc(&tls, NNG_TLS_MODE_SERVER));
		check("certificate", nng_tls_config_cert_key_file(tls, argv[1], NULL));
		check("set tls", nng_http_server_set_tls(server, tls));
		nng_tls_config_free(tls);
	}
	check("handler", nng_http_handler_alloc(&handler, "/", handle));
	check("add handler", nng_http_server_add_handler(server, handler));
	check("start", nng_http_server_start(server));
	check("address", nng_http_server_get_addr(server, &addr));
	printf("%d\n", ntohs(addr.s_in.sa_port));
	fflush(stdout);
	while (read(0, buf, sizeof(buf)) > 0) {
	}
	return (0);
}
