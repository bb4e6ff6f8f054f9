// S10 and S11. The error page of a server is replaced while it is being sent:
// the old page must not be read after its free, and a reply must be one page or
// the other. When memory runs out while a page is set, the server must not be
// left locked.

#include "testutil.h"

#define PAGE 200000

static volatile int fail_zalloc;

void *
nni_alloc(size_t sz)
{
	return (sz > 0 ? malloc(sz) : NULL);
}

void *
nni_zalloc(size_t sz)
{
	if (fail_zalloc) {
		return (NULL);
	}
	return (sz > 0 ? calloc(1, sz) : NULL);
}

void
nni_free(void *p, size_t sz)
{
	if (sz == PAGE) {
		memset(p, 'X', sz);
	}
	free(p);
}

static server        s;
static volatile bool stop;

static void *
setter(void *arg)
{
	char *page[2] = { malloc(PAGE + 1), malloc(PAGE + 1) };
	(void) arg;
	memset(page[0], 'A', PAGE);
	memset(page[1], 'B', PAGE);
	page[0][PAGE] = page[1][PAGE] = '\0';
	for (int i = 0; !stop; i++) {
		MUST(nng_http_server_set_error_page(
		         s.srv, 404, page[i % 2]) == 0);
	}
	return (NULL);
}

static void *
res_user(void *arg)
{
	nng_http_res *res;
	void *        body;
	size_t        len;
	(void) arg;
	MUST(nng_http_res_alloc(&res) == 0);
	while (!stop) {
		nng_http_res_reset(res);
		MUST(nng_http_res_set_status(res, 404) == 0);
		MUST(nng_http_server_res_error(s.srv, res) == 0);
		nng_http_res_get_data(res, &body, &len);
		if (len != PAGE) {
			continue; // no page set yet
		}
		CHECK(memcmp(body, (char *) body + 1, len - 1) == 0 &&
		        *(char *) body != 'X',
		    "error page sent after its free, or mixed");
	}
	return (NULL);
}

int
main(void)
{
	pthread_t t[3];
	int       rv;

	test_init();
	server_open(&s, false);
	server_start(&s);
	pthread_create(&t[0], NULL, setter, NULL);
	pthread_create(&t[1], NULL, res_user, NULL);
	pthread_create(&t[2], NULL, res_user, NULL);
	sleep_ms(3000);
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], NULL);
	}

	fail_zalloc = 1;
	rv          = nng_http_server_set_error_page(s.srv, 410, "gone");
	fail_zalloc = 0;
	MUST(rv == NNG_ENOMEM);
	test_step = "set_error_page after one that ran out of memory";
	MUST(nng_http_server_set_error_page(s.srv, 410, "gone") == 0);
	return (test_ok("error pages can be replaced at any time"));
}
