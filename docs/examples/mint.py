"""Mints without any server: two tickets and the key that made them in, a SEND header for each side out.

RING_SECRET=<32 hex digits> python3 mint.py KEY_ID TICKET_A TICKET_B
"""
import base64, hmac, os, struct, sys, time

def siphash24(key, data):
    k, ones = struct.unpack("<2Q", key), (1 << 64) - 1
    v = [k[0] ^ 0x736F6D6570736575, k[1] ^ 0x646F72616E646F6D, k[0] ^ 0x6C7967656E657261, k[1] ^ 0x7465646279746573]
    def mix(a, b, bits, turn):
        v[a] = v[a] + v[b] & ones
        v[b] = (v[b] << bits | v[b] >> 64 - bits) & ones ^ v[a]
        v[a] = (v[a] << turn | v[a] >> 64 - turn) & ones
    def rounds(count):
        for _ in range(count):
            mix(0, 1, 13, 32), mix(2, 3, 16, 0), mix(0, 3, 21, 0), mix(2, 1, 17, 32)
    for (word,) in struct.iter_unpack("<Q", data + bytes(7 - len(data) % 8) + bytes([len(data)])):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])

def tag(key, purpose, class_key, expires, low, *high):
    sides = [low, *high]  # A ticket has one side, a capability two.
    start = 12 if all(ip[:12] == bytes(10) + b"\xff\xff" for ip, _ in sides) else 0
    data = struct.pack(">2B2sI", purpose, class_key, low[1], expires) + b"".join(ip[start:] for ip, _ in sides)
    return siphash24(key, data + b"".join(port for _, port in high))

def address(key, key_id, ticket, now):
    """Address and port of whoever received this ticket; a ticket that proves nothing ends here."""
    kind, class_key, port, expires, ip, proof = struct.unpack(">2B2sI16s8s", ticket)
    right = tag(key, 0x09, class_key, expires, (ip, port))
    if not (kind == 0x09 and class_key == key_id and now <= expires <= now + 180 and hmac.compare_digest(proof, right)):
        sys.exit("a ticket proves nothing: another reflector's, another key's, or expired; PROBE again")
    return ip, port

def mint(key, key_id, ticket_a, ticket_b, now, lifetime=300):
    a, b = address(key, key_id, ticket_a, now), address(key, key_id, ticket_b, now)
    proof = tag(key, 0x0A, key_id, now + lifetime, min(a, b), max(a, b))
    return [struct.pack(">2B2sI16s8s", 0x0A, key_id, port, now + lifetime, ip, proof) for ip, port in (b, a)]

if __name__ == "__main__":
    tickets = [base64.urlsafe_b64decode(text + "=") for text in sys.argv[2:4]]
    now = int(os.environ.get("NOW") or time.time())
    for header in mint(bytes.fromhex(os.environ["RING_SECRET"]), int(sys.argv[1]), *tickets, now):
        print(base64.urlsafe_b64encode(header).decode().rstrip("="))
