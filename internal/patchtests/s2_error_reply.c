// S2: memory runs out while the server puts "Connection: close" into an error
// reply. Without the patch it goes on with the reply it has just freed, which
// AddressSanitizer reports.
//
// build: -Wl,--wrap=malloc,--wrap=calloc
//
// The linker sends the library's own calls of malloc and calloc here. The k-th
// of them after a request was sent fails, for every k until none is left to
// fail; the library is started, and the connection open, before that.

#include <unistd.h>
#include <stdatomic.h>

#include "testing.h"

static atomic_int countdown; // 0: nothing fails

static bool
fails(void)
{
	int left = atomic_load(&countdown);
	while (left > 0) {
		if (atomic_compare_exchange_weak(&countdown, &left, left - 1)) {
			return (left == 1);
		}
	}
	return (false);
}

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);

void *
__wrap_malloc(size_t size)
{
	return (fails() ? NULL : __real_malloc(size));
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return (fails() ? NULL : __real_calloc(n, size));
}

int
main(void)
{
	nng_http_server *server;
	uint16_t         port;
	char             reply[4096];
	int              k;
	bool             all_done = false;

	server = start_server(NULL, &port);

	for (k = 1; k < 200 && !all_done; k++) {
		int fd = connect_to(port);

		// The server sets the connection up before the first request of it counts.
		usleep(20000);
		atomic_store(&countdown, k);
		send_text(fd, "GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
		if (!receive(fd, reply, sizeof(reply), NULL)) {
			FAIL("k=%d: neither an answer nor a closed connection", k);
		}
		all_done = atomic_exchange(&countdown, 0) > 0;
		close(fd);
		if (all_done && strstr(reply, "HTTP/1.1 404") == NULL) {
			FAIL("enough memory, and still not a 404: %.40s", reply);
		}
	}
	if (!all_done) {
		FAIL("the request still allocated after %d calls", k);
	}
	if (k < 5) {
		FAIL("only %d allocations seen: the wrapping does not work", k - 1);
	}
	nng_http_server_release(server);
	nng_fini();
	fprintf(stderr, "every one of %d allocations failed once\n", k - 2);
	return (0);
}
