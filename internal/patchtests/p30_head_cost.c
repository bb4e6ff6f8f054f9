// P30. To parse a head costs work in proportion to its bytes and lines, whatever
// they say and however they come.

#include "headutil.h"

#define LINES 990
#define ROUNDS 5
#define FACTOR 4.0

static char   text[4 << 20];
static size_t len;

static void
begin(const char *line)
{
	len = (size_t) sprintf(text, "%s\r\n", line);
}

static void
add(const char *name, int number, size_t name_len, size_t value_len)
{
	memset(text + len, name[0], name_len);
	if (number >= 0) {
		char digits[16];
		snprintf(digits, sizeof(digits), "%03d", number);
		memcpy(text + len + name_len - 3, digits, 3);
	}
	len += name_len;
	text[len++] = ':';
	memset(text + len, 'b', value_len);
	len += value_len;
	len += (size_t) sprintf(text + len, "\r\n");
}

static double
cpu(void)
{
	struct timespec ts;
	MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
	return ((double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3);
}

// cost is the least time of some rounds, in microseconds.
static double
cost(bool response)
{
	double best = 1e12;
	char  *buf;

	len += (size_t) sprintf(text + len, "\r\n");
	MUST((buf = malloc(len)) != NULL);
	for (int i = 0; i < ROUNDS; i++) {
		nng_http_req *req;
		nng_http_res *res;
		size_t        used;
		double        t;
		int           rv;

		MUST(nng_http_req_alloc(&req, NULL) == 0);
		MUST(nng_http_res_alloc(&res) == 0);
		memcpy(buf, text, len);
		t  = cpu();
		rv = response ? nni_http_res_parse(res, buf, len, &used)
		              : nni_http_req_parse(req, buf, len, &used);
		t  = cpu() - t;
		MUST(rv == 0);
		best = (t < best) ? t : best;
		nng_http_req_free(req);
		nng_http_res_free(res);
	}
	free(buf);
	return (best);
}

static double per_line, per_byte;

static void
compare(const char *what, int lines, bool response)
{
	double bound, t = cost(response);

	bound = FACTOR * (per_line * lines + per_byte * (double) len) + 100;
	printf("%-24s %8zu bytes %5d lines: %9.0f us, %.1f of the bound\n",
	    what, len, lines, t, t / bound);
	CHECK(t < bound, "%s: %.0f us, the bound is %.0f", what, t, bound);
}

static void
all(const char *line, bool response)
{
	int i;

	// What is usual: names that differ, and not by their length alone.
	begin(line);
	for (i = 0; i < LINES; i++) {
		add("A", i, 12, 10);
	}
	per_line = cost(response) / LINES;
	begin(line);
	for (i = 0; i < 15; i++) {
		add("A", i, 12, 65000);
	}
	per_byte = cost(response) / (double) len;

	begin(line);
	for (i = 0; i < 15; i++) {
		add("X", -1, 1, 65000);
	}
	for (i = 0; i < 980; i++) {
		add("X", -1, 1, 1);
	}
	compare("15 long, 980 short", 995, response);

	begin(line);
	for (i = 0; i < LINES; i++) {
		add("X", -1, 1, 1040);
	}
	compare("one name", LINES, response);

	begin(line);
	add("X", -1, 1, 65000);
	for (i = 0; i < LINES; i++) {
		add("X", -1, 1, 1);
	}
	compare("1 long, 990 short", LINES + 1, response);

	begin(line);
	for (i = 0; i < LINES; i++) {
		add("X", i, 5, 1);
	}
	compare("short names", LINES, response);

	begin(line);
	for (i = 0; i < LINES; i++) {
		add("X", i, 1040, 1);
	}
	compare("long names", LINES, response);

	begin(line);
	for (i = 0; i < 31; i++) {
		add("X", i, 32000, 1);
	}
	compare("few names, very long", 31, response);

	begin(line);
	for (i = 0; i < LINES; i++) {
		add("X", i % 2, 1040, 1);
	}
	compare("two long names", LINES, response);
}

// A line that comes byte by byte.
static void
pieces(void)
{
	nng_http_req *req;
	size_t        used;
	double        t;

	MUST(nng_http_req_alloc(&req, NULL) == 0);
	memset(text, 'a', 60000);
	t = cpu();
	for (size_t n = 1; n <= 60000; n++) {
		MUST(nni_http_req_parse(req, text, n, &used) == NNG_EAGAIN);
		MUST(used == 0);
	}
	t = cpu() - t;
	printf("60000 pieces of a line: %.0f us\n", t);
	CHECK(t < 200000, "a line in pieces: %.0f us", t);
	nng_http_req_free(req);
}

int
main(void)
{
	test_init();
	test_step = "requests";
	MUST(nng_http_req_alloc(&(nng_http_req *) { NULL }, NULL) == 0);
	all("GET / HTTP/1.1", false);
	test_step = "responses";
	all("HTTP/1.1 200 OK", true);
	test_step = "pieces";
	pieces();
	return (test_ok("heads cost what they weigh"));
}
