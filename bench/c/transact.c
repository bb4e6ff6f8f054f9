// transact URL INFLIGHT SECONDS: requests with nng_http_client_transact, each on a
// connection of its own as that function does it, so many at a time. There are as many
// clients, because one of them connects to its server only once at a time.

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>
#include <nng/supplemental/util/platform.h>

typedef struct {
	nng_http_client *client;
	nng_aio *        aio;
	nng_http_req *   req;
	nng_http_res *   res;
} slot;

static nng_time      end;
static atomic_ullong count;

static void
check(const char *what, int rv)
{
	if (rv != 0) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(rv));
		exit(1);
	}
}

static void
done(void *arg)
{
	slot *s = arg;

	check("transact", nng_aio_result(s->aio));
	if (nng_http_res_get_status(s->res) != 200) {
		fprintf(stderr, "status %d\n", nng_http_res_get_status(s->res));
		exit(1);
	}
	count++;
	if (nng_clock() < end) {
		nng_http_res_reset(s->res);
		nng_http_client_transact(s->client, s->req, s->res, s->aio);
	}
}

int
main(int argc, char **argv)
{
	nng_url *url;

	if (argc != 4) {
		fprintf(stderr, "usage: transact URL INFLIGHT SECONDS\n");
		return (2);
	}
	int   n     = atoi(argv[2]);
	slot *slots = calloc(n, sizeof(*slots));

	check("url", nng_url_parse(&url, argv[1]));
	for (int i = 0; i < n; i++) {
		check("client", nng_http_client_alloc(&slots[i].client, url));
		check("aio", nng_aio_alloc(&slots[i].aio, done, &slots[i]));
		check("request", nng_http_req_alloc(&slots[i].req, url));
		check("response", nng_http_res_alloc(&slots[i].res));
		nng_aio_set_timeout(slots[i].aio, 5000);
	}
	nng_time start = nng_clock();
	end            = start + (nng_time) (atof(argv[3]) * 1000);
	for (int i = 0; i < n; i++) {
		nng_http_client_transact(slots[i].client, slots[i].req, slots[i].res, slots[i].aio);
	}
	nng_msleep(end - start);
	for (int i = 0; i < n; i++) {
		nng_aio_wait(slots[i].aio);
	}
	printf("count=%llu seconds=%.6f\n", (unsigned long long) count,
	    (double) (nng_clock() - start) / 1000);
	return (0);
}
