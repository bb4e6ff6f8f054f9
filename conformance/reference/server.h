// What the files of the reference server have of each other.

#ifndef CONFORMANCE_SERVER_H
#define CONFORMANCE_SERVER_H

#include <nng/nng.h>
#include <nng/supplemental/http/http.h>

// add_kinds adds the routes that need another kind of handler, or a setting of one.
extern void add_kinds(nng_http_server *s);

#endif
