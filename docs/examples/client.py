"""Two endpoints and the server of their product in one program: PROBE, one call, a datagram through the reflector.

SERVICE_TOKEN=... python3 client.py 203.0.113.7:3478 https://access.example.org fra1
"""
import base64, json, os, socket, sys, urllib.error, urllib.request

def contact(reflector):
    """An endpoint's part: a socket, and the ticket for its address as the reflector sees it."""
    udp, nonce = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), os.urandom(8)
    udp.settimeout(1)
    for _ in range(5):
        udp.sendto(b"\x08" + bytes(31) + nonce, reflector)
        try:
            answer, source = udp.recvfrom(2048)
        except TimeoutError:
            continue
        if source == reflector and len(answer) == 40 and answer[0] == 0x09 and answer[32:] == nonce:
            return udp, answer[:32]
    sys.exit("the reflector does not answer; it answers no PROBE from an address that it would not send to")

def capabilities(url, name, *tickets):
    """The server's part: it knows that these two may talk, and asks for the header of each."""
    body = {"reflector": name, "tickets": [base64.urlsafe_b64encode(t).decode().rstrip("=") for t in tickets]}
    body["sealed"] = bool(os.environ.get("SEALED"))  # Then neither side learns the other's address.
    head = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["SERVICE_TOKEN"]}
    request = urllib.request.Request(url + "/v1/capabilities", json.dumps(body).encode(), head)
    try:
        with urllib.request.urlopen(request) as answer:
            return [base64.urlsafe_b64decode(header + "=") for header in json.load(answer)["headers"]]
    except urllib.error.HTTPError as refusal:
        sys.exit(json.load(refusal)["detail"])

host, port = sys.argv[1].rsplit(":", 1)
reflector = (host, int(port))
(alice, ticket_a), (bob, ticket_b) = contact(reflector), contact(reflector)
to_bob, _to_alice = capabilities(sys.argv[2], sys.argv[3], ticket_a, ticket_b)
alice.sendto(to_bob + b"hello", reflector)
data = bob.recv(2048)
print("bob got", data[32:].decode())
bob.sendto(bytes([data[0] - 1]) + data[1:32] + b"hello yourself", reflector)  # Who receives can answer.
print("alice got", alice.recv(2048)[32:].decode())
