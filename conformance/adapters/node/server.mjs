// The contract of the conformance kit (docs/conformance-contract.md) on Node's http module.
//
//   nngconform run --cmd 'node conformance/adapters/node/server.mjs {port}'
import http from 'node:http';

const port = Number(process.argv[2]);
if (!Number.isInteger(port)) {
  console.error('usage: server.mjs PORT');
  process.exit(2);
}

function echo(req, res, body) {
  const fields = {};
  const query = req.url.split('?').slice(1).join('?');
  for (const parameter of query.split('&')) {
    if (!parameter.startsWith('f=')) continue;
    for (const name of parameter.slice(2).split(',')) {
      // The lines as they came: req.headers drops some of those that come twice.
      for (let i = 0; i < req.rawHeaders.length; i += 2) {
        if (req.rawHeaders[i].toLowerCase() === name.toLowerCase()) {
          (fields[name] ??= []).push(req.rawHeaders[i + 1]);
        }
      }
      const trailer = req.trailersDistinct?.[name.toLowerCase()];
      if (trailer && !fields[name]) fields[name] = trailer;
    }
  }
  res.setHeader('Conformance', 'echo');
  res.setHeader('Content-Type', 'application/json');
  res.end(JSON.stringify({ method: req.method, target: req.url, fields, body: body.toString('latin1') }));
}

function serve(req, res) {
  const path = req.url.split('?')[0];
  if (path === '/unread') {
    res.end();
    return;
  }
  const parts = [];
  req.on('error', () => {}); // a body that is cut: Node closes the connection
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    const status = /^\/status\/([2-5]\d\d)$/.exec(path);
    if (status) {
      res.statusCode = Number(status[1]);
      res.end([204, 304].includes(res.statusCode) ? undefined : 'status\n');
    } else if (path === '/empty') {
      res.end();
    } else if (path === '/last') {
      res.setHeader('Connection', 'close');
      res.end('last\n');
    } else if (path === '/static') {
      res.setHeader('Content-Type', 'text/plain');
      res.end('static\n');
    } else {
      echo(req, res, Buffer.concat(parts));
    }
  });
}

// Limits for what a client does not send, so that a run does not wait for it.
const limits = { headersTimeout: 2000, requestTimeout: 2000, keepAliveTimeout: 2000, connectionsCheckingInterval: 200 };
const server = http.createServer(limits, serve);
// Node gives each request with an Upgrade field to this listener, once there is one, and takes no
// further request from its connection.
server.on('upgrade', (req, socket, head) => {
  socket.on('error', () => socket.destroy());
  if (req.url.split('?')[0] !== '/hijack') {
    const res = new http.ServerResponse(req);
    res.shouldKeepAlive = false;
    res.assignSocket(socket);
    res.on('finish', () => socket.end());
    serve(req, res);
    return;
  }
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.write(head);
  socket.pipe(socket);
});
server.listen(port, '127.0.0.1');

process.on('SIGINT', () => process.exit());
process.stdin.on('end', () => process.exit());
process.stdin.resume();
