// A WebSocket client for the tests: node client.js CASE URL [CA-FILE]. It ends with
// status 0 when the echo server has done what the case expects.
"use strict";
const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { once } = require("node:events");
const fs = require("node:fs");
const WebSocket = require("ws");

const [name, url, ca] = process.argv.slice(2);

async function open() {
  const socket = new WebSocket(url, ca ? { ca: fs.readFileSync(ca) } : {});
  await once(socket, "open");
  return socket;
}

async function echo(socket, message, options) {
  const answer = once(socket, "message");
  socket.send(message, options);
  const [data, isBinary] = await answer;
  assert.equal(isBinary, typeof message !== "string");
  assert.ok(Buffer.from(message).equals(data), "the echo differs");
}

async function close(socket, code, reason) {
  const closed = once(socket, "close");
  socket.close(code, reason);
  const [answer] = await closed;
  assert.equal(answer, code);
}

const cases = {
  async text() {
    const socket = await open();
    for (const text of ["hello", "", "gr\u00fc\u00dfe \u2603 \u{1f600}"]) await echo(socket, text);
    await close(socket, 1000);
  },
  async binary() {
    const socket = await open();
    await echo(socket, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
    await close(socket, 1000);
  },
  async large() {
    const socket = await open();
    await echo(socket, crypto.randomBytes(1 << 20));
    await echo(socket, "x".repeat(1 << 20));
    await close(socket, 1000);
  },
  async fragmented() {
    const socket = await open();
    const answer = once(socket, "message");
    const pong = once(socket, "pong");
    socket.send("in ", { fin: false });
    socket.send("three ", { fin: false });
    socket.ping("between"); // control frames may come between fragments
    socket.send("parts", { fin: true });
    assert.equal((await pong)[0].toString(), "between");
    const [data, isBinary] = await answer;
    assert.equal(isBinary, false);
    assert.equal(data.toString(), "in three parts");
    await close(socket, 1000);
  },
  async ping() {
    const socket = await open();
    for (const payload of ["", "are you there?", "x".repeat(125)]) {
      const pong = once(socket, "pong");
      socket.ping(payload);
      assert.equal((await pong)[0].toString(), payload);
    }
    await close(socket, 1000);
  },
  async close() {
    for (const code of [1000, 1001, 3000, 4321]) await close(await open(), code, "that is all");
  },
  async parallel() {
    const sockets = await Promise.all(Array.from({ length: 100 }, open));
    await Promise.all(sockets.map((s, i) => echo(s, "message of connection " + i)));
    await Promise.all(sockets.map((s) => close(s, 1000)));
  },
};

// Nothing here takes this long; without it a lost message would be a silent end.
setTimeout(() => {
  console.error("nothing has come for 40 s");
  process.exit(1);
}, 40000);

cases[name]().then(
  () => process.exit(0),
  (err) => {
    console.error(err);
    process.exit(1);
  },
);
