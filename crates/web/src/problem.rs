//! Errors as a client gets them: problem details (RFC 9457) with a hint.
//!
//! `{"type": "about:blank", "title": "…", "status": 413, "detail": "…", "hint": "…"}`. The title
//! follows from the status; the detail has the numbers. Not here: OpenAI's form of the same
//! (`serve::openai`).

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// What happened, with numbers.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Seconds after which trying again makes sense.
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            hint: None,
            retry_after_s: None,
        }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// What to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// When trying again makes sense.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// The body's fields.
    pub(crate) fn body(&self) -> serde_json::Value {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut body = json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(hint) = &self.hint {
            body["hint"] = hint.as_str().into();
        }
        body
    }

    /// The headers that go with any form of the body.
    pub(crate) fn dress(&self, response: &mut Response) {
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after_s {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let media = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (media, self.body().to_string()).into_response();
        self.dress(&mut response);
        response
    }
}

/// Answers for paths and methods that a router doesn't have; before its layers, so that they see them.
pub(crate) fn elsewhere<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(no_such_page)
        .method_not_allowed_fallback(wrong_method)
}

async fn no_such_page(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    Problem::not_found(format!("there is nothing at {path}"))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{path} does not take {method}"),
    )
}
