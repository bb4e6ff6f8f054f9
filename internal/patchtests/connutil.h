// One connection of a client, and reads on it.

#ifndef CONNUTIL_H
#define CONNUTIL_H

#include "testutil.h"

static nng_http_conn *conn;
static op             o;
static char           got[70000];

// read_and_expect reads that text: all of it in one operation, or what is there.
static inline void
read_and_expect(const char *want, bool all)
{
	int    rv;
	size_t len = strlen(want);

	memset(got, 0, sizeof(got));
	op_buf(&o, got, all ? len : sizeof(got) - 1);
	if (all) {
		nng_http_conn_read_all(conn, op_start(&o));
	} else {
		nng_http_conn_read(conn, op_start(&o));
	}
	CHECK((rv = op_wait(&o, 5000)) == 0, "a read: %d", rv);
	CHECK(strcmp(got, want) == 0, "read %s, and not %s", got, want);
}

#endif
