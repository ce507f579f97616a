//! Clients that are slow, greedy or rude, on real connections.
//!
//! Each test has a bound after which it fails; the limits that it checks are a tenth of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use web::{Server, Stop, Timing};

/// How long anything here may take on a busy machine.
const BOUND: Duration = Duration::from_secs(20);

/// A server that runs until it is dropped.
struct Running {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(router: Router, timing: Timing) -> Self {
        let server = Server::bind("127.0.0.1", 0).expect("a port");
        let (address, stop) = (server.address(), Stop::default());
        let told = stop.clone();
        let run = move || server.run(router, timing, &told).expect("it serves");
        Self {
            address,
            stop,
            thread: Some(thread::spawn(run)),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(BOUND)).expect("a limit");
        stream.set_write_timeout(Some(BOUND)).expect("a limit");
        stream
    }

    /// What comes back for these bytes until the server closes the connection; the client may see
    /// its end as a reset.
    fn answer(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may close while the client is still writing.
        let _ = stream.write_all(request);
        rest(&mut stream)
    }

    /// An ordinary request, to see that the server still answers.
    fn is_well(&self) {
        let start = Instant::now();
        let answer = self.answer(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:.100}");
        assert!(start.elapsed() < BOUND);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.now();
        let ended = self.thread.take().expect("dropped once").join();
        assert!(thread::panicking() || ended.is_ok(), "the server panicked");
    }
}

/// Everything until the end. A server that never closes the connection fails the test.
fn rest(stream: &mut TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => all.extend(&piece[..count]),
            Err(error) => {
                let reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
                assert!(reset.contains(&error.kind()), "not closed: {error}");
                break;
            }
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A page of the real thing, with its guard.
fn pages() -> Router {
    web::view::router(Vec::new(), Vec::new(), web::Guard::default())
}

fn quick() -> Timing {
    Timing {
        headers: Duration::from_millis(400),
        writes: Duration::from_millis(400),
        grace: Duration::from_millis(200),
        connections: 1,
    }
}

/// The most headers that are taken, one more, and floods of lines, of one line, and without an end.
#[test]
fn a_flood_of_headers_is_refused() {
    let patient = Timing {
        grace: Duration::from_millis(200),
        ..Timing::default()
    };
    let running = Running::start(pages(), patient);
    let with = |lines: usize, each: usize| {
        let mut request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n".to_owned();
        for line in 2..lines {
            request += &format!("x-{line:04}: {}\r\n", "a".repeat(each));
        }
        request + "\r\n"
    };
    let good = running.answer(with(100, 10).as_bytes());
    assert!(good.starts_with("HTTP/1.1 200 "), "{good:.200}");
    for (lines, each) in [(101, 10), (400, 10), (20, 2000)] {
        let refused = running.answer(with(lines, each).as_bytes());
        assert!(
            refused.starts_with("HTTP/1.1 431 "),
            "{lines}: {refused:.200}"
        );
        assert!(refused.contains("application/problem+json"), "{refused}");
        assert!(
            refused.contains(&format!("{lines} header lines")),
            "{refused}"
        );
    }
    for (lines, each) in [(501, 10), (3, 1 << 20), (100_000, 50)] {
        let cut_off = running.answer(with(lines, each).as_bytes());
        // A reset may overtake the answer while the client still writes.
        let status = cut_off.is_empty() || cut_off.starts_with("HTTP/1.1 431 ");
        assert!(status, "{lines}: {cut_off:.200}");
        running.is_well();
    }
    let endless = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &[b'a'; 1 << 20]].concat();
    let cut_off = running.answer(&endless);
    assert!(cut_off.is_empty() || cut_off.starts_with("HTTP/1.1 431 "));
    running.is_well();
}

/// The only place is taken by clients that never finish their headers, byte by byte or not at all,
/// or that are idle after an answer: each is dropped, and the next one is served.
#[test]
fn slow_headers_and_idle_connections_lose_their_place() {
    let running = Running::start(pages(), quick());
    let mut silent = running.connect();
    running.is_well();
    assert!(!rest(&mut silent).contains("200 OK"));

    let mut slow = running.connect();
    let dripping = Instant::now();
    let mut bytes = b"GET / HTTP/1.1\r\nx: ".iter().chain([b'a'].iter().cycle());
    while slow.write_all(&[*bytes.next().expect("endless")]).is_ok() {
        assert!(dripping.elapsed() < BOUND, "it may drip for ever");
        thread::sleep(Duration::from_millis(20));
    }
    running.is_well();

    let mut idle = running.connect();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .expect("written");
    running.is_well();
    let answer = rest(&mut idle);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

/// A client that asks for much and takes nothing: more than any socket buffer holds.
#[test]
fn a_client_that_does_not_read_loses_its_place() {
    const BYTES: usize = 64 << 20;
    let large = Router::new()
        .route("/large", get(|| async { vec![b'x'; BYTES] }))
        .merge(pages());
    let running = Running::start(large, quick());
    let mut deaf = running.connect();
    deaf.write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .expect("written");
    running.is_well();
    assert!(rest(&mut deaf).len() < BYTES, "it was sent to its end");
    // A client that reads gets all of it.
    let whole =
        running.answer(b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(BYTES < whole.len(), "{}", whole.len());
}

/// Bytes that are no HTTP, and requests that two programs could read differently.
#[test]
fn what_is_no_request_is_told_so_and_cut_off() {
    let running = Running::start(pages(), Timing::default());
    for rude in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nbad header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
    ] {
        let answer = running.answer(rude);
        let shown = String::from_utf8_lossy(rude);
        assert!(
            answer.starts_with("HTTP/1.1 400 "),
            "{shown}: {answer:.100}"
        );
    }
    running.is_well();
}

/// The longest that a stop may wait for a client is the grace period.
#[test]
fn a_stop_cuts_off_who_does_not_finish() {
    let never = Router::new().route("/", get(std::future::pending::<&str>));
    let timing = Timing {
        grace: Duration::from_millis(300),
        ..Timing::default()
    };
    let running = Running::start(never, timing);
    let mut waiting = running.connect();
    waiting
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .expect("written");
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    drop(running);
    assert!(start.elapsed() < BOUND);
    assert_eq!(rest(&mut waiting), "");
}
