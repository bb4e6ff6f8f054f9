#ifndef CONFORMANCE_WEBSOCKET_H
#define CONFORMANCE_WEBSOCKET_H

// websocket_routes serves the contract's WebSocket routes at the address of an HTTP server's URL,
// which has no path.
extern void websocket_routes(const char *base);

#endif
