//! The results viewer: `neuraltalk view`.
//!
//! Here: the router of the page, which gets all captions at once and does the rest itself, so that
//! the same page works as one file from a disk (`export.rs`). Not here: reading result files
//! (`results.rs`), the page (`assets/view*`).

mod export;
mod results;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tower_http::compression::CompressionLayer;

use crate::{Guard, Problem, assets, guard, picture_file, problem};

pub use export::{Pictures, export};
pub use results::{Results, load};

/// One or two result files (two are compared) and where their pictures may lie.
struct Shared {
    results: Vec<Results>,
    folders: Vec<PathBuf>,
    /// What the page reads, rendered once.
    data: bytes::Bytes,
}

/// The page for these results. `folders` are looked in for pictures before the results' own places.
pub fn router(results: Vec<Results>, folders: Vec<PathBuf>, guard: Guard) -> Router {
    let data = serde_json::to_vec(&results).expect("strings and finite numbers");
    let shared = Arc::new(Shared {
        results,
        folders,
        data: data.into(),
    });
    let whole = Router::new()
        .route("/api/results", get(all))
        .merge(assets::router("view.html"))
        .layer(CompressionLayer::new());
    let router = Router::new()
        .route("/api/picture", get(picture))
        .route("/health", get(|| async { "ok\n" }))
        .merge(whole)
        .with_state(shared);
    guard::wrap(problem::elsewhere(router), guard)
}

async fn all(State(shared): State<Arc<Shared>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, shared.data.clone()).into_response()
}

#[derive(Deserialize)]
struct Which {
    file: usize,
    n: usize,
}

async fn picture(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let results = shared.results.get(which.file);
    let path = results.and_then(|results| results.picture(which.n, &shared.folders));
    picture_file::respond(path, headers).await
}
