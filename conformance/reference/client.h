#ifndef CONFORMANCE_CLIENT_H
#define CONFORMANCE_CLIENT_H

#include <stddef.h>

// Strings and errors in JSON, to standard output.
extern void put_string(const void *data, size_t len);
extern void put_error(int rv);

#endif
