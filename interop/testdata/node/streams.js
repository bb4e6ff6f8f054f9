// Peers of nng's WebSocket streams, for the tests:
//   node streams.js client URL   talks to an echo server that sends text
//   node streams.js server       is an echo server; it prints its port
"use strict";
const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { once } = require("node:events");
const { WebSocket, WebSocketServer } = require("ws");

async function open(url, protocols) {
  const socket = new WebSocket(url, protocols, { headers: { "X-From": "node" } });
  await once(socket, "open");
  return socket;
}

async function client(url) {
  const socket = await open(url, "echo.v1");
  assert.equal(socket.protocol, "echo.v1");
  const answer = async () => {
    const [data, isBinary] = await once(socket, "message");
    assert.equal(isBinary, false);
    return data.toString();
  };
  for (const text of ["hello", "", "gr\u00fc\u00dfe \u2603 \u{1f600}", "x".repeat(1 << 20)]) {
    const got = answer();
    socket.send(text);
    assert.ok((await got) === text, `the echo of ${text.length} characters differs`);
  }

  const got = answer();
  const pong = once(socket, "pong");
  socket.send("in ", { fin: false });
  socket.send("three ", { fin: false });
  socket.ping("between");
  socket.send("parts", { fin: true });
  assert.equal((await pong)[0].toString(), "between");
  assert.equal(await got, "in three parts");

  let closed = once(socket, "close");
  socket.close(1000);
  console.log("we closed:", (await closed)[0]);

  const other = await open(url, "echo.v1");
  closed = once(other, "close");
  other.send("bye"); // upon which the server closes
  console.log("the server closed:", (await closed)[0]);

  // Refusals.
  for (const [where, protocols] of [[url, "other"], [url, undefined], [url + "/more", "echo.v1"]]) {
    const refused = new WebSocket(where, protocols);
    const [error] = await once(refused, "error");
    console.log("refused:", error.message.replace(/.*: /, ""));
  }
}

function server() {
  const sockets = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate: true, // which nng does not ask for
    handleProtocols: (offered) => (offered.has("echo.v1") ? "echo.v1" : false),
  });
  sockets.on("headers", (headers, request) => headers.push(`X-Seen: ${request.headers["x-from"]} ${request.url}`));
  sockets.on("listening", () => console.log(sockets.address().port));
  sockets.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => {
      if (data.toString() === "bye") return socket.close(1000);
      if (data.toString() === "split") {
        socket.send("in ", { fin: false, binary: true });
        socket.ping("between");
        return socket.send("parts", { fin: true, binary: true });
      }
      socket.send(data, { binary: isBinary });
    });
    socket.on("pong", (data) => console.log("pong", data.toString()));
    socket.on("close", (code) => console.log("closed", code));
  });
}

({ client, server })[process.argv[2]](process.argv[3]);
