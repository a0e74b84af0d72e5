// Mints without any server: two tickets and the key that made them in, a SEND header for each side out.
//
// RING_SECRET=<32 hex digits> node mint.js KEY_ID TICKET_A TICKET_B
const { timingSafeEqual } = require("node:crypto");

function siphash24(key, data) {
  const wrap = (number) => BigInt.asUintN(64, number);
  const [k0, k1] = [key.readBigUInt64LE(0), key.readBigUInt64LE(8)];
  const v = [k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn, k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n];
  const mix = (a, b, bits, turn) => {
    v[a] = wrap(v[a] + v[b]);
    v[b] = wrap((v[b] << bits) | (v[b] >> (64n - bits))) ^ v[a];
    v[a] = wrap((v[a] << turn) | (v[a] >> (64n - turn)));
  };
  const rounds = (count) => {
    for (; count > 0; count--) mix(0, 1, 13n, 32n), mix(2, 3, 16n, 0n), mix(0, 3, 21n, 0n), mix(2, 1, 17n, 32n);
  };
  const blocks = Buffer.concat([data, Buffer.alloc(7 - (data.length % 8)), Buffer.from([data.length])]);
  for (let at = 0; at < blocks.length; at += 8) {
    const word = blocks.readBigUInt64LE(at);
    v[3] ^= word;
    rounds(2);
    v[0] ^= word;
  }
  v[2] ^= 0xffn;
  rounds(4);
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(v[0] ^ v[1] ^ v[2] ^ v[3]);
  return out;
}

// A side is its 18 bytes in a header: port, and address 6 bytes further on.
const side = (header) => ({ port: header.subarray(2, 4), ip: header.subarray(8, 24) });

// A ticket has one side, a capability two, the lower one first. IPv4 takes four bytes unless a side has IPv6.
function tag(key, purpose, classKey, expires, low, ...high) {
  const head = Buffer.from([purpose, classKey, ...low.port, 0, 0, 0, 0]);
  head.writeUInt32BE(expires, 4);
  const mapped = ({ ip }) => ip.readBigUInt64BE(0) === 0n && ip.readUInt32BE(8) === 0xffff;
  const start = [low, ...high].every(mapped) ? 12 : 0;
  const ips = [low, ...high].map(({ ip }) => ip.subarray(start));
  return siphash24(key, Buffer.concat([head, ...ips, ...high.map(({ port }) => port)]));
}

// Throws unless the ticket proves that somebody received at its address.
function verify(key, keyId, ticket, now) {
  const expires = ticket.readUInt32BE(4);
  const right = tag(key, 0x09, ticket[1], expires, side(ticket));
  const inTime = now <= expires && expires <= now + 180;
  if (ticket[0] !== 0x09 || ticket[1] !== keyId || !inTime || !timingSafeEqual(ticket.subarray(24), right))
    throw new Error("a ticket proves nothing: another reflector's, another key's, or expired; PROBE again");
  return side(ticket);
}

function mint(key, keyId, tickets, now, lifetime = 300) {
  const [a, b] = tickets.map((ticket) => verify(key, keyId, ticket, now));
  const [low, high] = [a, b].sort((a, b) => a.ip.compare(b.ip) || a.port.compare(b.port));
  const proof = tag(key, 0x0a, keyId, now + lifetime, low, high);
  const time = Buffer.alloc(4);
  time.writeUInt32BE(now + lifetime);
  return [b, a].map((to) => Buffer.concat([Buffer.from([0x0a, keyId]), to.port, time, to.ip, proof]));
}

const [, , keyId, ...tickets] = process.argv;
const now = Number(process.env.NOW) || Math.floor(Date.now() / 1000);
const key = Buffer.from(process.env.RING_SECRET, "hex");
for (const header of mint(key, Number(keyId), tickets.map((it) => Buffer.from(it, "base64url")), now))
  console.log(header.toString("base64url"));
