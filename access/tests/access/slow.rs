//! Slow and hostile connections: a problem document or a closed connection, and memory that stays where it was.

use crate::server::Server;
use harness::wait_until;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const CHALLENGE: &str = "POST /v1/challenge HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";

/// What the server says until it closes the connection; a reset is an end like any other.
fn rest(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => bytes.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn whoever_is_too_slow_is_cut_off() {
    // Where this test is itself too slow to send a whole head in time, it gets no answer and takes more time.
    let answered = ["300ms", "3s", "30s"].iter().any(|timeout| are_cut_off_after(timeout));
    assert!(answered, "half a body is not answered");
}

/// Asserts that those who are too slow are cut off; false if half a body got no answer.
fn are_cut_off_after(timeout: &str) -> bool {
    let server = Server::start(&["--request-timeout", timeout]);
    let connect = || TcpStream::connect(server.listen).unwrap();
    let silent = connect();
    let mut half_head = connect();
    // Whether it is still taken shows in what comes back.
    let _ = half_head.write_all(&CHALLENGE.as_bytes()[..30]);
    let mut half_body = connect();
    let sent = format!("{CHALLENGE}Content-Length: 100\r\n\r\n{{\"dev");
    let _ = half_body.write_all(sent.as_bytes());
    let mut drips = connect();
    let dripping = std::thread::spawn(move || {
        for byte in CHALLENGE.bytes().cycle() {
            if drips.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(!rest(silent).contains("200"));
    assert!(!rest(half_head).contains("200"));
    let answer = rest(half_body);
    dripping.join().unwrap();
    wait_until("connections stay", || server.metrics().sum("reflector_access_open_connections", &[]) == 0);
    let is_slow = answer.contains("HTTP/1.1 408") && answer.contains("/problems/slow");
    assert!(is_slow || answer.is_empty(), "{answer}");
    is_slow
}

#[test]
fn whoever_does_not_read_its_answers_is_cut_off() {
    let server = Server::start(&["--request-timeout", "300ms"]);
    let mut deaf = TcpStream::connect(server.listen).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    // Answers of 40 KB each fill every buffer on the way; then the server can send no more, and stops reading.
    let asks = "GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    for _ in 0..1_000 {
        if deaf.write_all(asks.as_bytes()).is_err() {
            break;
        }
    }
    wait_until("it stays", || server.metrics().sum("reflector_access_open_connections", &[]) == 0);
}

#[test]
fn long_heads_and_bodies_are_refused_and_memory_stays() {
    // Two threads, so that what a thread keeps of its first requests does not depend on the number of CPUs.
    let flags = ["--request-timeout", "10m", "--max-connections", "50", "--threads", "2"];
    let server = Server::start(&flags);
    let resident = || server.metrics().sum("process_resident_memory_bytes", &[]);
    // The first requests make threads and buffers that stay.
    let flood = || {
        for _ in 0..20 {
            let mut long_head = TcpStream::connect(server.listen).unwrap();
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(100_000));
            // It may be cut off before it is through.
            let _ = long_head.write_all(head.as_bytes());
            assert!(!rest(long_head).contains("HTTP/1.1 2"));
            let mut long_body = TcpStream::connect(server.listen).unwrap();
            write!(long_body, "{CHALLENGE}Content-Length: 1000000000\r\n\r\n").unwrap();
            let _ = long_body.write_all(&vec![b' '; 200_000]);
            let answer = rest(long_body);
            assert!(answer.is_empty() || answer.contains("/problems/too-large"), "{answer}");
            let mut chunked = TcpStream::connect(server.listen).unwrap();
            write!(chunked, "{CHALLENGE}Transfer-Encoding: chunked\r\n\r\n").unwrap();
            for _ in 0..100 {
                let _ = chunked.write_all(format!("1000\r\n{}\r\n", " ".repeat(4096)).as_bytes());
            }
            let answer = rest(chunked);
            assert!(answer.is_empty() || answer.contains("/problems/too-large"), "{answer}");
        }
    };
    flood();
    let before = resident();
    (0..5).for_each(|_| flood());
    let after = resident();
    assert!(after < before + (8 << 20), "{before} bytes before 300 hostile requests, {after} after");
}

#[test]
fn an_answer_that_does_not_wait_for_the_body_says_that_the_connection_ends() {
    let server = Server::start(&["--request-timeout", "10m"]);
    let ask = |path: &str, media_type: &str, length: usize, body: &str| {
        let mut stream = TcpStream::connect(server.listen).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\n");
        write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
        stream
    };
    for (path, media_type, length, status) in [
        ("/v1/challenge", "application/json", 1 << 30, "HTTP/1.1 413"),
        ("/v1/challenge", "text/plain", 2, "HTTP/1.1 415"),
        ("/v1/refresh", "application/json", 2, "HTTP/1.1 401"),
        ("/v1/nothing", "application/json", 2, "HTTP/1.1 404"),
    ] {
        let answer = rest(ask(path, media_type, length, ""));
        assert!(answer.starts_with(status) && answer.contains("connection: close"), "{path}: {answer}");
    }
    // The control: what is read to its end leaves the connection to the next request.
    let mut stream = ask("/v1/challenge", "application/json", 2, "{}");
    write!(stream, "GET /v1/nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let answers = rest(stream);
    let (first, second) = answers.split_once("HTTP/1.1 404").unwrap();
    assert!(first.starts_with("HTTP/1.1 400") && !first.contains("connection: close"), "{answers}");
    assert!(second.contains("connection: close"), "{answers}");
}

#[test]
fn connections_beyond_the_limit_wait_and_are_served_when_others_end() {
    let server = Server::start(&["--max-connections", "3", "--request-timeout", "10m"]);
    let held: Vec<_> = (0..3).map(|_| TcpStream::connect(server.listen).unwrap()).collect();
    wait_until("they are not held", || server.metrics().sum("reflector_access_open_connections", &[]) == 3);
    let mut waits = TcpStream::connect(server.listen).unwrap();
    write!(waits, "GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    waits.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(waits.read(&mut [0; 1]).is_err(), "it is served beyond the limit");
    drop(held);
    assert!(rest(waits).starts_with("HTTP/1.1 200"));
}
