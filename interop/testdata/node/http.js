// An HTTP client for the tests: node http.js fetch|http URL. It ends with status 0 when the
// server has done what the user of each interface expects.
"use strict";
const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const http = require("node:http");

const [kind, base] = process.argv.slice(2);
const everyByte = Buffer.from(Array.from({ length: 10240 }, (_, i) => i % 256));
const many = crypto.randomBytes(3 << 20);
const digest = `${many.length} ${crypto.createHash("sha256").update(many).digest("hex")}`;

async function* parts() {
  for (let i = 0; i < many.length; i += 1 << 16) yield many.subarray(i, i + (1 << 16));
}

async function withFetch(method, path, body, headers = {}) {
  const stream = body !== undefined && !Buffer.isBuffer(body);
  const options = { method, headers, redirect: "manual" };
  if (body !== undefined) options.body = stream ? ReadableStream.from(body) : body;
  if (stream) options.duplex = "half";
  const r = await fetch(base + path, options);
  return { status: r.status, header: (name) => r.headers.get(name), body: Buffer.from(await r.arrayBuffer()) };
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });

function withHTTP(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    // Without a Content-Length, Node sends the body of a DELETE with no framing at all.
    if (Buffer.isBuffer(body)) headers = { ...headers, "Content-Length": body.length };
    const req = http.request(base + path, { method, headers, agent });
    req.on("error", reject);
    req.on("response", async (res) => {
      try {
        const chunks = [];
        for await (const c of res) chunks.push(c);
        resolve({
          status: res.statusCode,
          header: (name) => res.headers[name] ?? null,
          body: Buffer.concat(chunks),
          trailers: res.trailers,
          reused: req.reusedSocket,
        });
      } catch (e) {
        reject(e);
      }
    });
    (async () => {
      if (body === undefined || Buffer.isBuffer(body)) return req.end(body);
      for await (const part of body) if (!req.write(part)) await new Promise((go) => req.once("drain", go));
      req.end();
    })().catch(reject);
  });
}

const send = kind === "fetch" ? withFetch : withHTTP;

function check(res, status, body, headers = {}) {
  assert.equal(res.status, status);
  if (body !== undefined) assert.ok(Buffer.from(body).equals(res.body), `${res.body.length} bytes: ${res.body.subarray(0, 200)}`);
  for (const [name, want] of Object.entries(headers)) assert.equal(res.header(name), want, name);
  return res;
}

async function main() {
  check(await send("GET", "/hello"), 200, "hello\n", { "content-length": "6", "content-type": "text/plain; charset=utf-8" });
  check(await send("HEAD", "/hello"), 200, "", { "content-length": "6" });
  check(await send("POST", "/echo?a=1&b=%20", everyByte), 200, everyByte, { "x-method": "POST", "x-length": "10240", "x-query": "a=1&b=%20" });
  for (const method of ["PUT", "PATCH", "DELETE"]) {
    check(await send(method, "/echo", Buffer.from("some")), 200, "some", { "x-method": method });
  }
  check(await send("POST", "/sum", many), 200, digest, { "x-length": String(many.length) });
  check(await send("POST", "/sum", parts()), 200, digest, { "x-length": "-1" });
  const five = "part 0\npart 1\npart 2\npart 3\npart 4\n";
  const chunked = check(await send("GET", "/parts"), 200, five, { "transfer-encoding": "chunked" });
  check(await send("GET", "/text", undefined, { Range: "bytes=3-7" }), 206, "defgh", { "content-range": "bytes 3-7/26" });
  check(await send("GET", "/text", undefined, { "If-None-Match": '"letters"' }), 304, "", { etag: '"letters"' });
  check(await send("GET", "/status/204"), 204, "", { "content-length": null });
  check(await send("GET", "/status/404"), 404, "");
  check(await send("GET", "/moved"), 302, undefined, { location: "/hello" });
  check(await send("GET", "/nowhere"), 404, "404 page not found\n");
  const again = check(await send("GET", "/hello"), 200, "hello\n");
  if (kind === "fetch") {
    const unpacked = check(await send("GET", "/gzip"), 200);
    assert.equal(unpacked.body.length, 100000);
  } else {
    assert.ok(again.reused, "the agent has not kept the connection");
    assert.deepEqual({ ...chunked.trailers }, { "x-sum": "five parts" });
    const waits = http.request(base + "/echo", { method: "POST", agent, headers: { Expect: "100-continue", "Content-Length": 4 } });
    const proceed = new Promise((go) => waits.once("continue", go));
    const answer = new Promise((go, fail) => waits.once("response", go).once("error", fail));
    waits.flushHeaders();
    await proceed;
    waits.end("body");
    const res = await answer;
    assert.equal(res.statusCode, 200);
    let got = "";
    for await (const c of res) got += c;
    assert.equal(got, "body");
  }
  check(await send("GET", "/close"), 200, "bye\n", { connection: "close" });
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const body = Buffer.from(`message ${i} `.repeat(50));
      check(await send("POST", "/echo", body), 200, body);
    }),
  );
  agent.destroy();
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
