// The echo: what the server has understood of a request, as JSON.

#include "common.h"

// JSON, one character for each byte.

typedef struct {
	char * text;
	size_t len, cap;
} buf;

static inline void
put(buf *b, const void *data, size_t len)
{
	if (b->len + len > b->cap) {
		b->cap = 2 * (b->len + len);
		if ((b->text = realloc(b->text, b->cap)) == NULL) {
			abort();
		}
	}
	memcpy(b->text + b->len, data, len);
	b->len += len;
}

static inline void
puts_to(buf *b, const char *s)
{
	put(b, s, strlen(s));
}

static inline void
put_string(buf *b, const void *data, size_t len)
{
	const unsigned char *p = data;
	char                 esc[8];

	puts_to(b, "\"");
	for (size_t i = 0; i < len; i++) {
		if ((p[i] < 0x20) || (p[i] > 0x7e) || (p[i] == '"') || (p[i] == '\\')) {
			snprintf(esc, sizeof(esc), "\\u%04x", p[i]);
			puts_to(b, esc);
		} else {
			put(b, p + i, 1);
		}
	}
	puts_to(b, "\"");
}

// put_fields adds the fields that the parameter f of the target asks for.
static inline void
put_fields(buf *b, nng_http_req *req, const char *target)
{
	const char *f = strchr(target, '?');
	bool        first = true;

	while (f != NULL && strncmp(f + 1, "f=", 2) != 0) {
		f = strchr(f + 1, '&');
	}
	if (f == NULL) {
		return;
	}
	for (f += 3; *f != '\0' && *f != '&' && *f != '#';) {
		char        name[100];
		size_t      n = strcspn(f, ",&#");
		const char *value;

		snprintf(name, sizeof(name), "%.*s", (int) n, f);
		if ((value = nng_http_req_get_header(req, name)) != NULL) {
			puts_to(b, first ? "" : ",");
			put_string(b, name, strlen(name));
			puts_to(b, ":[");
			put_string(b, value, strlen(value));
			puts_to(b, "]");
			first = false;
		}
		f += n + (f[n] == ',');
	}
}

static inline void
echo(nng_aio *aio)
{
	nng_http_req *req    = nng_aio_get_input(aio, 0);
	const char *  target = nng_http_req_get_uri(req);
	const char *  method = nng_http_req_get_method(req);
	nng_http_res *res;
	void *        data;
	size_t        len;
	buf           b = { 0 };

	nng_http_req_get_data(req, &data, &len);
	puts_to(&b, "{\"method\":");
	put_string(&b, method, strlen(method));
	puts_to(&b, ",\"target\":");
	put_string(&b, target, strlen(target));
	puts_to(&b, ",\"fields\":{");
	put_fields(&b, req, target);
	puts_to(&b, "},\"body\":");
	put_string(&b, data, len);
	puts_to(&b, "}\n");
	res = response(200, b.text, b.len);
	must(nng_http_res_set_header(res, "Conformance", "echo"), "set_header");
	must(nng_http_res_set_header(res, "Content-Type", "application/json"), "set_header");
	free(b.text);
	answer(aio, res);
}
