// What both ends know: pseudo-random bytes, of which part I begins somewhere else than the others of the first few.

'use strict';
const crypto = require('crypto');

const LENGTH = 1 << 20;
const KINDS = 16;
const cipher = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16, 'key'), Buffer.alloc(16));
const bytes = cipher.update(Buffer.alloc(2 * LENGTH));

exports.LENGTH = LENGTH;
exports.part = (number) => bytes.subarray((number % KINDS) * 4099, (number % KINDS) * 4099 + LENGTH);
exports.file = (length) => {
    const file = Buffer.alloc(length);
    for (let at = 0; at < length; at += bytes.length) bytes.copy(file, at, 0, Math.min(bytes.length, length - at));
    return file;
};

const hashes = new Map();
exports.hashOfPart = (number) => {
    const kind = number % KINDS;
    if (!hashes.has(kind)) hashes.set(kind, crypto.createHash('sha256').update(exports.part(kind)).digest('hex'));
    return hashes.get(kind);
};
