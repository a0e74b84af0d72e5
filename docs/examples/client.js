// Two endpoints and the server of their product in one program: PROBE, one call, a datagram through the reflector.
//
// SERVICE_TOKEN=... node client.js 203.0.113.7:3478 https://access.example.org fra1
const { createSocket } = require("node:dgram");
const { once } = require("node:events");
const { randomBytes } = require("node:crypto");

const [, , address, url, name] = process.argv;
const [host, port] = address.split(":");
const send = (udp, ...parts) => udp.send(Buffer.concat(parts), Number(port), host);
const receive = (udp) => once(udp, "message", { signal: AbortSignal.timeout(1000) });

// An endpoint's part: a socket, and the ticket for its address as the reflector sees it.
async function contact() {
  const [udp, nonce] = [createSocket("udp4"), randomBytes(8)];
  for (let tries = 0; tries < 5; tries++) {
    send(udp, Buffer.from([0x08]), Buffer.alloc(31), nonce);
    const [answer, from] = await receive(udp).catch(() => [Buffer.alloc(0), {}]);
    const echoed = answer.length === 40 && answer[0] === 0x09 && answer.subarray(32).equals(nonce);
    if (echoed && `${from.address}:${from.port}` === address) return [udp, answer.subarray(0, 32)];
  }
  throw new Error("the reflector does not answer; it answers no PROBE from an address that it would not send to");
}

// The server's part: it knows that these two may talk, and asks for the header of each.
async function capabilities(...tickets) {
  const sealed = Boolean(process.env.SEALED); // Then neither side learns the other's address.
  const body = JSON.stringify({ reflector: name, tickets: tickets.map((it) => it.toString("base64url")), sealed });
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${process.env.SERVICE_TOKEN}` };
  const answer = await (await fetch(`${url}/v1/capabilities`, { method: "POST", headers, body })).json();
  if (!answer.headers) throw new Error(answer.detail);
  return answer.headers.map((header) => Buffer.from(header, "base64url"));
}

(async () => {
  const [[alice, ticketA], [bob, ticketB]] = [await contact(), await contact()];
  const [toBob] = await capabilities(ticketA, ticketB);
  send(alice, toBob, Buffer.from("hello"));
  const [data] = await receive(bob);
  console.log("bob got", data.subarray(32).toString());
  send(bob, Buffer.from([data[0] - 1]), data.subarray(1, 32), Buffer.from("hello yourself")); // Who receives can answer.
  console.log("alice got", (await receive(alice))[0].subarray(32).toString());
  [alice, bob].forEach((udp) => udp.close());
})();
