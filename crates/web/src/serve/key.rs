//! The key that the API may ask for: `Authorization: Bearer KEY`, as OpenAI's clients send it.
//!
//! Compared in a time that depends on no byte of it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::{Choice, ConstantTimeEq};

use crate::Problem;
use crate::serve::openai;

pub(crate) struct Keys(Vec<Vec<u8>>);

impl Keys {
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| key.clone().into_bytes()).collect())
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let value = headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes);
        let scheme = value.and_then(|value| value.split_at_checked(b"bearer ".len()));
        let Some((scheme, given)) = scheme else {
            return false;
        };
        // Every key is looked at, so that time doesn't tell which one was close.
        let any = |found: Choice, key: &Vec<u8>| found | key.as_slice().ct_eq(given.trim_ascii());
        scheme.eq_ignore_ascii_case(b"bearer ")
            && bool::from(self.0.iter().fold(Choice::from(0), any))
    }
}

/// Lets a request with a right key through.
pub(crate) async fn check(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    if keys.allow(request.headers()) {
        return next.run(request).await;
    }
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "this service asks for a key")
        .hint("send the header Authorization: Bearer KEY");
    let mut response = match request.uri().path() == openai::PATH {
        true => openai::error(&problem),
        false => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_key_opens() {
        let allow = |keys: &[&str], value: Option<&str>| {
            let keys: Vec<String> = keys.iter().map(|&key| key.into()).collect();
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            }
            Keys::new(&keys).allow(&headers)
        };
        assert!(allow(&[], None) && allow(&[], Some("anything")));
        let keys = ["first-key", "second-key"];
        for good in [
            "Bearer first-key",
            "bearer second-key",
            "Bearer  second-key",
        ] {
            assert!(allow(&keys, Some(good)), "{good}");
        }
        let bad = [
            "Bearer first-ke",
            "Bearer first-key2",
            "Bearer ",
            "first-key",
            "Basic first-key",
            "Bearer",
            "",
        ];
        for bad in bad {
            assert!(!allow(&keys, Some(bad)), "{bad}");
        }
        assert!(!allow(&keys, None));
    }
}
