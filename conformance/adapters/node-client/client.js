// A client of the conformance kit with Node's http.
//
//     nngconform run --client-cmd 'node conformance/adapters/node-client/client.js'

'use strict';

const http = require('node:http');
const readline = require('node:readline');

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function request(method, url) {
  return new Promise((resolve) => {
    const fail = (err) => resolve({ error: String(err) });
    try {
      const body = method === 'POST' || method === 'PUT' ? 'hello' : '';
      const headers = body ? { 'Content-Length': body.length } : {};
      const req = http.request(url, { method, agent, headers }, (res) => {
        const parts = [];
        res.on('data', (part) => parts.push(part));
        res.on('error', fail);
        res.on('aborted', () => fail('aborted'));
        res.on('end', () => {
          const fields = {};
          for (let i = 0; i < res.rawHeaders.length; i += 2) {
            (fields[res.rawHeaders[i]] ??= []).push(res.rawHeaders[i + 1]);
          }
          resolve({ status: res.statusCode, fields, body: Buffer.concat(parts).toString('latin1') });
        });
      });
      req.on('upgrade', (res, socket) => {
        socket.destroy();
        resolve({ status: res.statusCode, fields: {}, body: '' });
      });
      req.on('error', fail);
      req.end(body);
    } catch (err) {
      fail(err);
    }
  });
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const space = line.indexOf(' ');
    const reply = await request(line.slice(0, space), line.slice(space + 1));
    process.stdout.write(JSON.stringify(reply) + '\n');
  }
  agent.destroy();
})();
