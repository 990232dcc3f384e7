// server.js LENGTH ENOUGH: an HTTP server whose answers the client can foresee.
//   /meet/N      answered when N connections are waiting for it
//   /part/I      part I of the data, see data.js
//   POST /sum    the hash of the body
//   /file        the file, or the range of it that is asked for; slowly, until there is a file named ENOUGH
//   /end         ends the server

'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const data = require('./data.js');

const file = data.file(Number(process.argv[2]));
const enough = process.argv[3];
const PIECE = 8192;
const connections = new Set();
let waiting = [];

function meet(count, response) {
    waiting.push(response);
    if (waiting.length === count) {
        for (const one of waiting) one.end('all are here');
        waiting = [];
    }
}

function sum(request, response) {
    const hash = crypto.createHash('sha256');
    request.on('data', (bytes) => hash.update(bytes));
    request.on('end', () => response.end(hash.digest('hex')));
}

function serveFile(request, response) {
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range || '');
    const first = range ? Number(range[1]) : 0;
    const last = range && range[2] ? Number(range[2]) : file.length - 1;
    const headers = { 'Content-Length': last - first + 1, 'Accept-Ranges': 'bytes' };
    if (range) headers['Content-Range'] = `bytes ${first}-${last}/${file.length}`;
    response.writeHead(range ? 206 : 200, headers);
    if (request.method === 'HEAD') response.end();
    else send(file.subarray(first, last + 1), response);
}

function send(bytes, response) {
    if (bytes.length <= PIECE || fs.existsSync(enough)) {
        response.end(bytes);
        return;
    }
    response.write(bytes.subarray(0, PIECE));
    setTimeout(send, 20, bytes.subarray(PIECE), response);
}

const server = http.createServer({ keepAliveTimeout: 60000 }, (request, response) => {
    const [, what, number] = request.url.split('/');
    if (what === 'meet') meet(Number(number), response);
    else if (what === 'part') response.end(data.part(Number(number)));
    else if (what === 'sum') sum(request, response);
    else if (what === 'file') serveFile(request, response);
    else if (what === 'end') {
        response.end('good-bye', () => {
            console.log(`SERVED ${connections.size}`);
            server.close();
            server.closeAllConnections();
        });
    } else {
        response.writeHead(404).end();
    }
});
server.on('connection', (socket) => connections.add(socket));
server.listen(0, '127.0.0.1', 1024, () => {
    console.log(`SHA256 ${crypto.createHash('sha256').update(file).digest('hex')}`);
    console.log(`PORT ${server.address().port}`);
});
