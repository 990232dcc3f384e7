// client.js PORT CONNECTIONS PARTS ENOUGH: that many connections, all open at a time, and that many parts over them, or more until
// there is a file of that name. Every 16th part goes back to the server, too.

'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const data = require('./data.js');

const [port, connections, parts] = process.argv.slice(2, 5).map(Number);
const enough = process.argv[5];
const agent = new http.Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
let next = 0;
let total = 0;

// The hash of the answer and its length.
function ask(path, body) {
    return new Promise((resolve, reject) => {
        const method = body ? 'POST' : 'GET';
        const request = http.request({ host: '127.0.0.1', port, path, method, agent }, (response) => {
            const hash = crypto.createHash('sha256');
            const chunks = [];
            let length = 0;
            response.on('data', (bytes) => {
                hash.update(bytes);
                length += bytes.length;
                if (body) chunks.push(bytes);
            });
            response.on('end', () => resolve({ hash: hash.digest('hex'), length, text: chunks.join('') }));
            response.on('error', reject);
        });
        request.on('error', reject);
        request.end(body);
    });
}

function demand(what, condition) {
    if (!condition) throw new Error(what);
}

let isTold = false;
function isWanted() {
    if (next < parts) return true;
    if (!isTold) console.log(`TRANSFERRED ${parts}`);
    isTold = true;
    return !fs.existsSync(enough);
}

async function work() {
    await ask(`/meet/${connections}`);
    while (isWanted()) {
        const number = next++;
        const got = await ask(`/part/${number}`);
        demand(`part ${number}: ${got.length} bytes`, got.length === data.LENGTH);
        demand(`hash of part ${number}`, got.hash === data.hashOfPart(number));
        total += got.length;
        if (number % 16 === 0) {
            const back = await ask('/sum', data.part(number));
            demand(`hash of part ${number} at the server`, back.text === data.hashOfPart(number));
            total += data.LENGTH;
        }
    }
    await ask(`/meet/${connections}`);
}

async function all() {
    await Promise.all(Array.from({ length: connections }, work));
    await ask('/end');
    console.log(`PARTS ${next}\nBYTES ${total}`);
    process.exit(0);
}

all().catch((error) => {
    console.log(`FAIL ${error.stack}`);
    process.exit(1);
});
