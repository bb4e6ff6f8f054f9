// A server and a client of the conformance kit with Node's ws, in the version of
// ../../testdata/node: with a port it serves the WebSocket routes, without one it reads lines.
'use strict';
const http = require('http');
const readline = require('readline');
const { WebSocket, WebSocketServer } = require('../../testdata/node/node_modules/ws');

const options = { maxPayload: 1 << 20, perMessageDeflate: false };

// echo sends back what comes.
function echo(ws, path, got) {
  ws.on('error', () => {});
  ws.on('message', (data, binary) => {
    if (ws.readyState !== WebSocket.OPEN) { // it was closed before this came
      return;
    }
    if (!binary && path.startsWith('/ws/binary')) {
      ws.close(1003);
      return;
    }
    got(binary ? 'binary' : 'text', data);
    ws.send(data, { binary });
  });
}

function serve(port) {
  const routes = {};
  for (const path of ['/ws', '/ws/binary', '/ws/chat']) {
    routes[path] = new WebSocketServer({
      ...options,
      noServer: true,
      handleProtocols: (names) => path === '/ws/chat' && names.has('chat') ? 'chat' : false,
    });
    routes[path].on('connection', (ws) => echo(ws, path, () => {}));
  }
  // Only what is about WebSockets is here: other requests are no part of it.
  const server = http.createServer((req, res) => {
    res.writeHead(404, { Connection: 'close' });
    res.end();
  });
  server.on('upgrade', (req, socket, head) => {
    const route = routes[req.url.replace(/\?.*/, '').replace(/^http:\/\/[^/]*/, '')];
    if (route === undefined) {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    route.handleUpgrade(req, socket, head, (ws) => route.emit('connection', ws, req));
  });
  server.listen(port, '127.0.0.1');
}

function ask(line, reply) {
  const [method, url] = line.split(' ');
  if (method !== 'WEBSOCKET') {
    reply({ error: 'this is a client of WebSockets' });
    return;
  }
  const path = new URL(url).pathname;
  const messages = [];
  let opened = false;
  const ws = new WebSocket(url, path === '/ws/chat' ? ['chat'] : [], { ...options, handshakeTimeout: 2000 });
  ws.on('open', () => { opened = true; });
  ws.on('close', () => reply(opened ? { messages } : { error: 'there was no connection' }));
  echo(ws, path, (type, data) => messages.push({ type, data: data.toString('latin1') }));
}

if (process.argv.length > 2) {
  serve(Number(process.argv[2]));
} else {
  let last = Promise.resolve();
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    last = last.then(() => new Promise((done) => ask(line, (r) => {
      process.stdout.write(JSON.stringify(r) + '\n');
      done();
    })));
  });
}
