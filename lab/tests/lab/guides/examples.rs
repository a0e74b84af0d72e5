//! The examples of the integration guide, in every language whose interpreter is here.
//!
//! * What mints without a server gives the very bytes of the vectors, and nothing for a ticket that proves nothing.
//! * What it mints, and what the access server mints for the client, a real reflector relays. Loopback, no root.
//! * The guide shows the files as they are.

use crate::{Test, test};
use harness::{Missing, Need, PATIENCE};
use lab::programs::found::{Programs, SessionPrograms};
use lab::programs::program::{Program, Start};
use lab::programs::scratch::Scratch;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use wire::header::Kind;
use wire::json::header::HeaderJson;
use wire::ring::KeyId;
use wire::{Block, BlockSet, Header, KeyRing, Policy, TransportAddress, Verdict, tag};

/// The tests of each language, and what they need.
pub(crate) fn tests() -> Vec<(Test, &'static [Need])> {
    let of = |language: Language, needs: &'static [Need]| {
        let named = |name: &str| format!("examples::{name}_in_{}", language.name);
        [
            (test(named("minting_gives_the_vectors"), move || minting_gives_the_vectors(language)), needs),
            (test(named("what_is_minted_is_relayed"), move || what_is_minted_is_relayed(language)), needs),
            (test(named("the_client_is_relayed"), move || the_client_is_relayed(language)), needs),
        ]
    };
    let mut tests = vec![(test("examples::the_guide_shows_them", the_guide_shows_them), [].as_slice())];
    tests.extend(of(PYTHON, &[|| Missing::programs(&[("python3", "python3")])]));
    tests.extend(of(NODE, &[|| Missing::programs(&[("node", "nodejs")])]));
    tests.extend(of(GO, &[|| Missing::programs(&[("go", "golang-go")])]));
    tests
}

/// A language of the examples.
#[derive(Clone, Copy, Debug)]
struct Language {
    name: &'static str,
    interpreter: &'static str,
    extension: &'static str,
}

impl Language {
    /// A command that runs an example.
    fn command(self, example: &str) -> Command {
        let file = Path::new(EXAMPLES).join(format!("{example}.{}", self.extension));
        let mut command = match self.name {
            "go" => Command::new(compiled(&file)),
            _ => Command::new(self.interpreter),
        };
        if self.name != "go" {
            command.arg(file);
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        command
    }

    /// Mints for two tickets.
    fn mint(self, secret: &[u8; 16], key_id: u8, tickets: [Header; 2], now: u32) -> Output {
        let mut command = self.command("mint");
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        command.env("RING_SECRET", secret).env("NOW", now.to_string()).arg(key_id.to_string());
        command.args(tickets.map(|ticket| HeaderJson::from(ticket).to_string())).output().unwrap()
    }
}

/// The two Go programs, built once in the life of this process.
fn compiled(file: &Path) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        // Its cache and what it builds are kept where builds go, so that nothing depends on a home and nothing stays.
        let target = std::path::absolute(Programs::find().unwrap().target()).unwrap();
        let folder = target.join("go-examples");
        for example in ["client", "mint"] {
            let mut command = Command::new(GO.interpreter);
            command.args(["build", "-o"]).arg(folder.join(example)).arg(format!("{example}.go"));
            command.current_dir(EXAMPLES).env("GOCACHE", target.join("go-cache")).env("GOPROXY", "off");
            good(&command.output().unwrap());
        }
        folder
    });
    folder.join(file.file_stem().unwrap())
}

fn minting_gives_the_vectors(language: Language) {
    let vectors: serde_json::Value = serde_json::from_str(&fs::read_to_string(VECTORS).unwrap()).unwrap();
    let secrets = vectors["ring"].as_array().unwrap().iter().map(|key| {
        let id = u8::try_from(key["id"].as_u64().unwrap()).unwrap();
        (id, bytes(key["secret"].as_str().unwrap()).try_into().unwrap())
    });
    let secrets: Vec<(u8, [u8; 16])> = secrets.collect();
    let ring = KeyRing::new(&secrets).unwrap();
    let secret_of = |id: u8| secrets.iter().find(|(of, _)| *of == id).unwrap().1;
    let cases = vectors["cases"].as_array().unwrap().iter();
    let relayed: Vec<(Header, TransportAddress)> =
        cases.filter(|case| case["verdict"] == "relay").filter_map(send_of_class_0).collect();
    assert!(relayed.len() > 50, "the vectors have changed: {} cases are left", relayed.len());
    for &(send, source) in relayed.iter().step_by(3) {
        let now = send.expires - LIFETIME_S;
        let ticket = |peer| ticket(&ring, send.class_key, now + 60, peer);
        let (secret, tickets) = (secret_of(send.class_key), [ticket(source), ticket(send.peer)]);
        let minted = headers(&good(&language.mint(&secret, send.class_key, tickets, now)));
        assert_eq!(minted[0], HeaderJson::from(send), "the side that sends");
        assert_eq!(minted[1], HeaderJson::from(Header { peer: source, ..send }), "the other side");
    }
    let (send, source) = relayed[0];
    let (now, id, secret) = (send.expires - LIFETIME_S, send.class_key, secret_of(send.class_key));
    let right = ticket(&ring, id, now + 60, send.peer);
    let other_id = secrets.iter().map(|(other, _)| *other).find(|other| *other != id).unwrap();
    for wrong in [
        Header { kind: Kind::Send as u8, ..right },
        Header { expires: now + 61, ..right },
        ticket(&ring, id, now - 1, send.peer),
        ticket(&ring, id, now + 181, send.peer),
        ticket(&ring, other_id, now + 60, send.peer),
        Header { peer: source, ..right },
    ] {
        let output = language.mint(&secret, id, [right, wrong], now);
        assert!(!output.status.success() && output.stdout.is_empty(), "minted for {wrong:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("PROBE again"), "{output:?}");
    }
}

/// The header of a case, and who sends it, if its class is 0.
fn send_of_class_0(case: &serde_json::Value) -> Option<(Header, TransportAddress)> {
    let datagram = bytes(case["datagram"].as_str()?);
    let header = Header::read(datagram.first_chunk()?);
    let (ip, port) = case["source"].as_str()?.split_once(' ')?;
    let source = SocketAddr::new(ip.parse().ok()?, port.parse().ok()?);
    Some((header, TransportAddress::from_socket(source)?)).filter(|(header, _)| is_plain(header))
}

fn is_plain(send: &Header) -> bool {
    send.kind == Kind::Send as u8 && send.class_key < 16
}

fn ticket(ring: &KeyRing, id: u8, expires: u32, peer: TransportAddress) -> Header {
    let tag = tag::ticket(ring.get(KeyId::of_header(id)).unwrap(), id, expires, peer);
    Header { kind: Kind::Observed as u8, class_key: id, expires, peer, tag }
}

fn what_is_minted_is_relayed(language: Language) {
    let scratch = Scratch::new().unwrap();
    let ring_path = scratch.fresh_ring("ring.toml").unwrap();
    let text = fs::read_to_string(&ring_path).unwrap();
    let secret = bytes(text.split("secret = \"").nth(1).unwrap().split('"').next().unwrap());
    let ring = wire::ring_file::parse(&text).unwrap();
    let (_reflector, at) = reflector(&ring_path);
    let contacts = [contact(at), contact(at)];
    let tickets = contacts.each_ref().map(|(_, ticket)| *ticket);
    let now = tickets[0].expires - 100;
    let output = language.mint(&secret.try_into().unwrap(), ring.minting().get(), tickets, now);
    let [to_b, to_a] = headers(&good(&output))[..] else { panic!("two headers: {output:?}") };
    let [(a, _), (b, _)] = &contacts;
    for (from, header, to) in [(a, to_b, b), (b, to_a, a)] {
        from.send_to(&[&header.0.0[..], b"hello"].concat(), at).unwrap();
        let mut data = [0; 64];
        let (len, source) = to.recv_from(&mut data).unwrap();
        assert_eq!((source, data[0], &data[32..len]), (at, Kind::Data as u8, &b"hello"[..]));
    }
    // The control: the oracle relays it, too, and from no other address.
    let allowed: Block = "127.0.0.0/8".parse().unwrap();
    let policy = Policy { allow_destination: BlockSet::new(&[allowed]), ..Policy::default() };
    let decide = |from: SocketAddr| {
        let mut datagram = to_b.0.0;
        matches!(wire::decide(&mut datagram, from, now, &ring, &policy), Verdict::Relay { .. })
    };
    assert!(decide(a.local_addr().unwrap()) && !decide(b.local_addr().unwrap()));
}

fn the_client_is_relayed(language: Language) {
    let scratch = Scratch::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let access = SessionPrograms::find().unwrap().access;
    let run = |arguments: &[&str]| good(&Command::new(&access).args(arguments).output().unwrap());
    let master = file("master.toml", &run(&["keygen"]));
    let ring = file("ring.toml", &run(&["ring", "here", "--master", &master]));
    let (_reflector, at) = reflector(Path::new(&ring));
    let mut start = Start::new(&access);
    start.arg("run").option("--listen", "127.0.0.1:0").option("--admin", "127.0.0.1:0");
    start.option("--master", &master).option("--store", scratch.path().join("access.redb").display());
    start.option("--service-credentials", file("services", &format!("{TOKEN}\n")));
    start.option("--reflector", format!("here={at}")).option("--allow-destination", "127.0.0.0/8");
    let (_access, url) = ready(&start);
    let client = |token: &str, sealed: &str| {
        let mut command = language.command("client");
        command.env("SERVICE_TOKEN", token).env("SEALED", sealed);
        command.args([&at.to_string(), &format!("http://{url}"), "here"]).output().unwrap()
    };
    for sealed in ["", "1"] {
        // A second without a datagram ends an example, which is too short for a busy machine now and then.
        let again = std::iter::repeat_with(|| client(TOKEN, sealed));
        let in_time = again.take(10).find(|output| output.status.success());
        let output = in_time.unwrap_or_else(|| client(TOKEN, sealed));
        assert_eq!(good(&output), "bob got hello\nalice got hello yourself\n");
    }
    let refused = client("wrong", "");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("--service-credentials"), "{said}");
}

fn the_guide_shows_them() {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let mut examples: Vec<PathBuf> =
        fs::read_dir(EXAMPLES).unwrap().map(|entry| entry.unwrap().path()).collect();
    examples.retain(|path| path.is_file());
    assert_eq!(examples.len(), 6, "{examples:?}");
    for path in examples {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(guide.contains(&format!("\n{text}```\n")), "docs/integrate.md shows another {name}");
        assert!(guide.contains(&format!("(examples/{name})")), "docs/integrate.md does not link {name}");
    }
}

/// A reflector on loopback with this ring.
fn reflector(ring: &Path) -> (Program, SocketAddr) {
    let mut start = Start::new(&Programs::find().unwrap().reflector);
    start
        .arg("run")
        .option("--listen", "127.0.0.1:0")
        .option("--admin", "127.0.0.1:0")
        .option("--workers", 1);
    start.option("--keys", ring.display()).option("--allow-destination", "127.0.0.0/8");
    ready(&start)
}

/// Starts a daemon; where it listens.
fn ready(start: &Start) -> (Program, SocketAddr) {
    let mut program = Program::start(start.clone().option("--log-format", "json")).unwrap();
    let listen = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["message"] == "ready").then(|| line["listen"].as_str()?.parse().ok())?
    };
    let at = program.wait_for(PATIENCE, listen).unwrap();
    (program, at)
}

/// A socket, and its ticket.
fn contact(reflector: SocketAddr) -> (UdpSocket, Header) {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut probe = [0; 40];
    probe[0] = Kind::Probe as u8;
    udp.send_to(&probe, reflector).unwrap();
    let mut answer = [0; 64];
    assert_eq!(udp.recv(&mut answer).unwrap(), 40);
    (udp, Header::read(answer.first_chunk().unwrap()))
}

/// What a program printed that did what it should.
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn headers(printed: &str) -> Vec<HeaderJson> {
    printed.lines().map(|line| line.parse().unwrap()).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

const PYTHON: Language = Language { name: "python", interpreter: "python3", extension: "py" };
const NODE: Language = Language { name: "javascript", interpreter: "node", extension: "js" };
const GO: Language = Language { name: "go", interpreter: "go", extension: "go" };
/// How long the examples' capabilities live.
const LIFETIME_S: u32 = 300;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples");
const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/integrate.md");
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors/header.json");
