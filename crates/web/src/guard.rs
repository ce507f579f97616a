//! What stands before every route: which sites may ask, and what a browser may do with an answer.
//!
//! A server on 127.0.0.1 is reached by every page that its user's browser has open. Two checks keep
//! those out: the name in `Host` must be one of this machine's (else a page could point a name of
//! its own to 127.0.0.1 and read everything: DNS rebinding), and a request that says it comes from
//! another site (`Origin`) is refused unless that site was allowed. A flood of headers ends here too,
//! with words; one that doesn't fit into `server.rs`'s buffer never gets this far.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use crate::Problem;

/// Who may ask.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// True where only this machine is meant to reach the server: `Host` is then checked.
    pub loopback: bool,
    /// More names that `Host` may have (of a proxy in front).
    pub hosts: Vec<String>,
    /// Sites that may use the answers in their own pages (CORS); none by default.
    pub origins: Vec<String>,
}

/// Most lines and bytes of a request's headers: a browser sends about 20 and 1 KB, a proxy adds to them.
const HEADER_LINES: usize = 100;
const HEADER_BYTES: usize = 32 << 10;

/// A page may load what this server has, and nothing else; no other page may show it in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(), geolocation=()",
    ),
];

/// Puts the guard around a finished router.
pub(crate) fn wrap(router: Router, guard: Guard) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(guard), check))
}

async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let origin = guard.allowed_origin(request.headers());
    let preflight = request.method() == axum::http::Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match guard.refusal(request.headers()) {
        Some(problem) => problem.into_response(),
        None if preflight && origin.is_some() => StatusCode::NO_CONTENT.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type",
            ),
            (
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                "retry-after, x-request-id",
            ),
        ];
        for (name, value) in allowed {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

impl Guard {
    fn refusal(&self, headers: &HeaderMap) -> Option<Problem> {
        if let Some(problem) = flood(headers) {
            return Some(problem);
        }
        let text = |name| {
            let value: Option<&HeaderValue> = headers.get(name);
            value.map(|value| value.to_str().unwrap_or(""))
        };
        let host = text(header::HOST);
        if let Some(host) = host
            && self.loopback
            && !self.knows(name_of(host))
        {
            return Some(
                Problem::new(
                    StatusCode::MISDIRECTED_REQUEST,
                    "this server answers only to names of this machine",
                )
                .hint("use http://127.0.0.1 or http://localhost; --allow-host names others"),
            );
        }
        let origin = text(header::ORIGIN)?;
        let same = origin
            .split_once("://")
            .is_some_and(|(_, site)| Some(site) == host);
        match same || self.origins.iter().any(|allowed| allowed == origin) {
            true => None,
            false => Some(
                Problem::new(
                    StatusCode::FORBIDDEN,
                    "pages of other sites may not use this server",
                )
                .hint("start it with --allow-origin and that site's address"),
            ),
        }
    }

    fn knows(&self, name: &str) -> bool {
        ["localhost", "127.0.0.1", "[::1]"].contains(&name)
            || self
                .hosts
                .iter()
                .any(|host| host.eq_ignore_ascii_case(name))
    }

    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let known = |allowed: &String| allowed.as_bytes() == origin.as_bytes();
        self.origins.iter().any(known).then(|| origin.clone())
    }
}

fn flood(headers: &HeaderMap) -> Option<Problem> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let lines = headers.len();
    (HEADER_LINES < lines || HEADER_BYTES < bytes).then(|| {
        let detail = format!(
            "{lines} header lines with {bytes} bytes; at most {HEADER_LINES} and {HEADER_BYTES} are taken"
        );
        Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    })
}

/// `name:port` without the port.
fn name_of(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(guard: &Guard, pairs: &[(HeaderName, &str)]) -> Option<u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name.clone(), value.parse().expect("a header"));
        }
        guard
            .refusal(&headers)
            .map(|problem| problem.status.as_u16())
    }

    #[test]
    fn names_of_other_machines_and_pages_of_other_sites_are_refused() {
        let guard = Guard {
            loopback: true,
            hosts: vec!["Captions.example".into()],
            origins: vec!["https://photos.example".into()],
        };
        use header::{HOST, ORIGIN};
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "captions.example",
        ] {
            assert_eq!(refused(&guard, &[(HOST, host)]), None, "{host}");
        }
        for host in [
            "evil.example:8080",
            "localhost.evil.example",
            "",
            "10.0.0.1",
        ] {
            assert_eq!(refused(&guard, &[(HOST, host)]), Some(421), "{host}");
        }
        let from = |origin| refused(&guard, &[(HOST, "localhost:80"), (ORIGIN, origin)]);
        assert_eq!(from("http://localhost:80"), None);
        assert_eq!(from("https://photos.example"), None);
        for origin in ["null", "http://localhost:81", "https://photos.example.evil"] {
            assert_eq!(from(origin), Some(403), "{origin}");
        }
        let open = Guard::default();
        assert_eq!(refused(&open, &[(HOST, "anything.example")]), None);
    }
}
