//! What the service says about itself: alive, ready, numbers, models, its description.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Service;
use crate::{Problem, assets};

/// `GET /health`: the process answers.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /ready`: 200 while new requests are taken; 503 when it is shutting down or full.
pub(crate) async fn ready(State(service): State<Arc<Service>>) -> Result<Json<Value>, Problem> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    if service.stop.is_stopping() {
        return Err(Problem::new(status, "the service is shutting down"));
    }
    let (used, places) = (service.queue.used(), service.config.queue);
    if used == places {
        return Err(Problem::new(status, "the queue is full").retry_after(1));
    }
    let body =
        json!({"status": "ready", "model": service.config.model, "queued": used, "places": places});
    Ok(Json(body))
}

/// `GET /metrics`, for Prometheus.
pub(crate) async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = service.measures.render(service.queue.used());
    ([(header::CONTENT_TYPE, media)], text)
}

fn described(service: &Service) -> Value {
    json!({
        "id": service.config.model,
        "object": "model",
        "created": service.started_s,
        "owned_by": "neuraltalk",
    })
}

/// `GET /v1/models`, in OpenAI's form.
pub(crate) async fn models(State(service): State<Arc<Service>>) -> Json<Value> {
    Json(json!({"object": "list", "data": [described(&service)]}))
}

/// `GET /v1/models/NAME`.
pub(crate) async fn model(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    match name == service.config.model {
        true => Ok(Json(described(&service))),
        false => {
            Err(Problem::not_found("there is no such model").hint("GET /v1/models lists them"))
        }
    }
}

/// `GET /openapi.json`.
pub(crate) async fn openapi() -> Response {
    let text = assets::find("openapi.json")
        .expect("it is in the list")
        .text;
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// `GET /docs`: the same for people.
pub(crate) async fn docs(headers: HeaderMap) -> Response {
    assets::find("docs.html")
        .expect("it is in the list")
        .respond(&headers)
}
