#ifndef CONFORMANCE_WEBSOCKET_H
#define CONFORMANCE_WEBSOCKET_H

// Whole messages, and not a stream of bytes. The manual does not tell the name of the option.
#define OPT_MSGMODE "ws:msgmode"

// websocket_routes serves the contract's WebSocket routes at the address of an HTTP server's URL,
// which has no path.
extern void websocket_routes(const char *base);

// websocket_client sends back the messages of a connection until it ends, and writes its reply.
extern void websocket_client(const char *url);

#endif
