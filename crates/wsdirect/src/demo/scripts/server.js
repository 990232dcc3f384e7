// Keeps what is PUT and gives it back to GET.
'use strict';
const store = new Map();
const server = require('http').createServer((request, response) => {
    if (request.method !== 'PUT') {
        response.end(store.get(request.url));
        return;
    }
    const chunks = [];
    request.on('data', (bytes) => chunks.push(bytes));
    request.on('end', () => {
        store.set(request.url, Buffer.concat(chunks));
        response.end();
    });
});
server.listen(Number(process.argv[1]), '127.0.0.1');
