// Writes, reads back and compares; then measures. Prints one line of JSON.
'use strict';
const crypto = require('crypto');
const http = require('http');
const port = Number(process.argv[1]);
const SECONDS = 2;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, path, body) {
    return new Promise((resolve, reject) => {
        const request = http.request({ host: '127.0.0.1', port, method, path, agent, timeout: 15000 }, (response) => {
            const chunks = [];
            response.on('data', (bytes) => chunks.push(bytes));
            response.on('error', reject);
            response.on('end', () => {
                if (response.statusCode === 200) resolve(Buffer.concat(chunks));
                else reject(new Error(`${method} ${path}: status ${response.statusCode}`));
            });
        });
        request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer`)));
        request.on('error', reject);
        request.end(body);
    });
}

// Requests per second.
async function repeat(method, path, body) {
    const start = performance.now();
    let count = 0;
    for (; performance.now() - start < SECONDS * 1000; count++) await ask(method, path, body);
    return (count * 1000) / (performance.now() - start);
}

async function work() {
    const cipher = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16, 'key'), Buffer.alloc(16));
    const all = cipher.update(Buffer.alloc(8 << 20));
    const blobs = Array.from({ length: 200 }, (_, n) => all.subarray(n * 11, n * 11 + 1 + n * 997));
    for (const [n, blob] of blobs.entries()) await ask('PUT', `/${n}`, blob);
    const digest = crypto.createHash('sha256');
    let size = 0;
    for (const [n, blob] of blobs.entries()) {
        const once = await ask('GET', `/${n}`);
        if (!once.equals(blob)) throw new Error(`/${n}: what was read is not what was written`);
        digest.update(once);
        size += once.length;
    }
    await ask('PUT', '/small', all.subarray(0, 1024));
    const requests = await repeat('GET', '/small');
    const upload = ((await repeat('PUT', '/large', all)) * all.length) / 1e6;
    const download = ((await repeat('GET', '/large')) * all.length) / 1e6;
    if (!(await ask('GET', '/large')).equals(all)) throw new Error('/large: what was read is not what was written');
    const data = `${blobs.length} files, ${size} bytes, sha256 ${digest.digest('hex').slice(0, 16)}`;
    console.log(JSON.stringify({ requests_per_s: requests, download_mb_s: download, upload_mb_s: upload, data }));
    process.exit(0);
}

work().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
