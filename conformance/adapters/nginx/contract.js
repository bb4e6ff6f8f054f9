// The routes for which nginx has no directive of its own.

const characters = [];
for (let i = 0; i < 256; i++) {
    characters.push(String.fromCharCode(i));
}

// A string of one character for each byte. (Not with +=: njs frees no string before the request
// has ended.)
function latin1(bytes) {
    const all = [];
    Buffer.from(bytes || '').forEach((b) => all.push(characters[b]));
    return all.join('');
}

// The target as it came: $request_uri has no scheme and host.
function target(r) {
    const line = latin1(r.rawVariables.request).replace(/ +HTTP\/[0-9.]+ *$/, '');
    return line.slice(line.indexOf(' ')).trim();
}

function fields(r) {
    const found = {};
    const query = target(r).split('?').slice(1).join('?');
    query.split('&').forEach((parameter) => {
        if (!parameter.startsWith('f=')) {
            return;
        }
        parameter.slice(2).split(',').forEach((name) => {
            r.rawHeadersIn.forEach((line) => {
                if (line[0].toLowerCase() === name.toLowerCase()) {
                    found[name] = (found[name] || []).concat(latin1(line[1]));
                }
            });
        });
    });
    return found;
}

function echo(r) {
    r.headersOut['Conformance'] = 'echo';
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify({
        method: latin1(r.rawVariables.request_method),
        target: target(r),
        fields: fields(r),
        // The buffer of an empty body cannot be read.
        body: r.variables.request_body ? latin1(r.rawVariables.request_body) : '',
    }));
}

function status(r) {
    const code = Number(r.uri.slice('/status/'.length));
    r.return(code, code === 204 || code === 304 ? '' : 'status\n');
}

function empty(r) {
    r.return(200);
}

function last(r) {
    r.return(200, 'last\n');
}

function fixed(r) {
    r.headersOut['Content-Type'] = 'text/plain';
    r.return(200, 'static\n');
}

export default { echo, status, empty, last, fixed };
