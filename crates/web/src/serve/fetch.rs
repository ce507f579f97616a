//! Pictures from other hosts, only from those that were allowed by name.
//!
//! Without `--allow-fetch` nothing is ever fetched. With it: http and https, the named hosts and their
//! usual ports, no redirect, the body limit and a time limit; and a name that leads to a private,
//! loopback or otherwise special address is refused, whoever owns it. The addresses are checked where
//! the name is resolved, and those are the ones that are connected to, so that a name that answers
//! differently the second time (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use tokio::sync::Semaphore;
use ureq::Agent;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::ask::shorten;
use crate::Problem;

/// For a whole fetch.
const TIME: Duration = Duration::from_secs(10);

/// Fetches at once; each holds a thread.
const AT_ONCE: usize = 16;

/// Which addresses may be connected to.
type Allowed = fn(IpAddr) -> bool;

pub(crate) struct Fetcher {
    hosts: Vec<String>,
    agent: Agent,
    limit: u64,
    places: Arc<Semaphore>,
}

impl Fetcher {
    pub(crate) fn new(hosts: &[String], limit: usize) -> Self {
        Self::to(hosts, limit, is_public)
    }

    fn to(hosts: &[String], limit: usize, allowed: Allowed) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIME))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent("neuraltalk")
            .build();
        let resolver = Checked {
            system: DefaultResolver::default(),
            allowed,
        };
        Self {
            hosts: hosts.iter().map(|host| host.to_lowercase()).collect(),
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
            limit: limit as u64,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The bytes behind `url`.
    pub(crate) async fn fetch(&self, url: &str) -> Result<Bytes, Problem> {
        let shown = shorten(url);
        let refused =
            |why: String| Problem::bad_request(why).hint("send the picture itself, as a data URI");
        if self.hosts.is_empty() {
            return Err(refused(
                "this service does not fetch pictures from addresses".into(),
            ));
        }
        let uri: Uri = url
            .parse()
            .map_err(|_| refused(format!("`{shown}` is no address")))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(refused(format!("`{shown}` has a user name in it")));
        }
        // A host is named with its port where that is not the usual one.
        let site = match (uri.scheme_str(), uri.port_u16()) {
            (Some("http"), None | Some(80)) | (Some("https"), None | Some(443)) => {
                uri.host().unwrap_or("").to_lowercase()
            }
            _ => authority.to_lowercase(),
        };
        if !self.hosts.contains(&site) {
            return Err(refused(format!(
                "pictures are not fetched from `{}`",
                shorten(&site)
            )));
        }
        let Ok(_place) = Arc::clone(&self.places).try_acquire_owned() else {
            let detail = "too many pictures are being fetched already";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(1));
        };
        let (agent, limit) = (self.agent.clone(), self.limit);
        let task = tokio::task::spawn_blocking(move || get(&agent, uri, limit));
        let bytes = task
            .await
            .unwrap_or_else(|_| Err("the fetch broke off".into()));
        bytes.map_err(|why| {
            let detail = format!("`{shown}` could not be fetched: {why}");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        })
    }
}

fn get(agent: &Agent, uri: Uri, limit: u64) -> Result<Bytes, String> {
    let mut answer = agent.get(uri).call().map_err(|error| error.to_string())?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("it answers {}", status.as_u16()));
    }
    let body = answer.body_mut().with_config().limit(limit);
    body.read_to_vec()
        .map(Bytes::from)
        .map_err(|error| error.to_string())
}

/// The system's resolver, without the addresses that may not be connected to.
#[derive(Debug)]
struct Checked {
    system: DefaultResolver,
    allowed: Allowed,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = self.system.resolve(uri, config, timeout)?;
        let mut kept = self.empty();
        for &address in all.iter().filter(|address| (self.allowed)(address.ip())) {
            kept.push(address);
        }
        match kept.is_empty() {
            true => Err(ureq::Error::HostNotFound),
            false => Ok(kept),
        }
    }
}

/// Whether an address is one that anybody on the internet has: the special ones of RFC 6890 and its
/// successors are not, and neither are IPv6 addresses that stand for an IPv4 address that isn't.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match s {
        // Translated (NAT64) and tunnelled (6to4) IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo, documentation, benchmarks and the rest of 2001::/23.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [first, ..] => (0x2000..0x4000).contains(&first) && first != 0x3fff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// One address of each special block, and neighbours that are not special.
    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.9.9",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.1.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "3fff::1",
            "64:ff9b:1::1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.17.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "2a00::1",
        ] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }

    /// Answers every connection with `answer`; the port.
    fn host(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut head = [0; 1024];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer);
            }
        });
        port
    }

    #[tokio::test]
    async fn only_named_hosts_and_only_public_addresses() {
        const GOOD: &[u8] =
            b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndata";
        let port = host(GOOD);
        let url = format!("http://localhost:{port}/a.jpg");
        let named = [format!("localhost:{port}")];
        let everywhere: Allowed = |_| true;
        let bytes = Fetcher::to(&named, 100, everywhere).fetch(&url).await;
        assert_eq!(bytes.expect("fetched"), &b"data"[..]);
        let small = Fetcher::to(&named, 3, everywhere).fetch(&url).await;
        assert_eq!(small.expect_err("too large").status.as_u16(), 422);
        // The real check: a name that leads to this machine.
        let inside = Fetcher::new(&named, 100)
            .fetch(&url)
            .await
            .expect_err("loopback");
        assert_eq!(inside.status.as_u16(), 422);
        let nothing = Fetcher::new(&[], 100)
            .fetch(&url)
            .await
            .expect_err("nothing is allowed");
        assert!(
            nothing.detail.contains("does not fetch"),
            "{}",
            nothing.detail
        );
        for other in [
            "http://localhost/a.jpg",
            "http://localhost:1/a.jpg",
            "http://evil.example/a.jpg",
            "http://user@localhost/a.jpg",
            "http://localhost.evil.example/",
            "http://",
            "http://[::1]/",
        ] {
            let problem = Fetcher::to(&named, 100, everywhere)
                .fetch(other)
                .await
                .expect_err(other);
            assert_eq!(problem.status.as_u16(), 400, "{other}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let inner = host(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret");
        let answer = format!(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{inner}/\r\ncontent-length: 0\r\n\r\n"
        );
        let port = host(answer.leak().as_bytes());
        let fetcher = Fetcher::to(&[format!("localhost:{port}")], 100, |_| true);
        let problem = fetcher
            .fetch(&format!("http://localhost:{port}/"))
            .await
            .expect_err("302");
        assert!(problem.detail.contains("302"), "{}", problem.detail);
    }
}
