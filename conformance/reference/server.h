// What the two files of the reference server have of each other.

#ifndef CONFORMANCE_SERVER_H
#define CONFORMANCE_SERVER_H

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>

// must ends the program if rv is an error.
extern void must(int rv, const char *what);

// echo is the handler of the contract's echo.
extern void echo(nng_aio *aio);

// add_kinds adds the routes that need another kind of handler, or a setting of one.
extern void add_kinds(nng_http_server *s);

#endif
