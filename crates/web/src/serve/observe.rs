//! One line in the log and one count for each request, under a number that the answer carries too.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::measure::Measures;
use crate::Problem;

/// The header with a request's number: the client's own, or ours.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Different in every process, so that numbers of two runs don't meet in one log.
fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let start = START.get_or_init(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_micros() as u64)
    });
    format!("{start:x}-{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A client's number is kept if it is short and can't break a log line.
fn kept(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    (!text.is_empty() && text.len() <= 100 && text.chars().all(plain)).then(|| text.to_owned())
}

/// Methods that are counted by name; a client can make up others without end.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Around everything else.
pub(crate) async fn observe(
    State(measures): State<Arc<Measures>>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(kept)
        .unwrap_or_else(new_id);
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let method = method(request.method());
    let span = tracing::info_span!("request", id);
    let mut response = next.run(request).instrument(span).await;
    let seconds = start.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    measures.request(&route, method, status, seconds);
    tracing::info!(
        id,
        method,
        route,
        status,
        ms = (seconds * 1e4).round() / 10.0,
        "answered"
    );
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// What a client gets where our own code broke.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the service failed on this request",
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_number_cannot_forge_a_log_line() {
        let kept = |text: &str| {
            HeaderValue::from_str(text)
                .ok()
                .and_then(|value| kept(&value))
        };
        assert_eq!(kept("abc-1").as_deref(), Some("abc-1"));
        for bad in ["", "a b", "a\"b", "a\tb", &"x".repeat(101)] {
            assert_eq!(kept(bad), None, "{bad}");
        }
        assert_ne!(new_id(), new_id());
    }
}
