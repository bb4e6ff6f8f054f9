// S1: a path that ends in %XX. Without the patch the decoder walks off the end
// of its heap block (AddressSanitizer stops the program), and without a
// sanitizer the path decodes to something else, so the handler is not found.

#include "testing.h"

static void
expect(uint16_t port, const char *target, const char *status)
{
	char request[256];
	char reply[4096];
	int  fd = connect_to(port);

	snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", target);
	send_text(fd, request);
	if (!receive(fd, reply, sizeof(reply), NULL)) {
		FAIL("GET %s: no answer", target);
	}
	close(fd);
	if (strncmp(reply, status, strlen(status)) != 0) {
		FAIL("GET %s: expected %s, got %.40s", target, status, reply);
	}
}

int
main(void)
{
	nng_http_handler *handler;
	nng_http_server  *server;
	uint16_t          port;

	OK(nng_http_handler_alloc_static(&handler, "/dAb", "found", 5, "text/plain"));
	server = start_server(handler, &port);

	expect(port, "/dAb", "HTTP/1.1 200");
	expect(port, "/dA%62", "HTTP/1.1 200"); // at the very end: the overrun
	expect(port, "/d%41b", "HTTP/1.1 200"); // in the middle
	expect(port, "/%64%41%62", "HTTP/1.1 200");
	expect(port, "/dA%6", "HTTP/1.1 404"); // not an escape: stays as it is
	expect(port, "/dA%zz", "HTTP/1.1 404");
	expect(port, "/%41", "HTTP/1.1 404");

	nng_http_server_release(server);
	nng_fini();
	return (0);
}
