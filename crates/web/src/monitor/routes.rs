//! What the monitor's page asks for.
//!
//! `GET /api/runs` all rows; `GET /api/events` the same as server-sent events, then every change;
//! `GET /api/curves?run=ID&from=&to=&points=`; `GET /api/samples?run=ID`; `GET
//! /api/picture?run=ID&n=N`. An ID is a key of the board, never a path that is opened.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;

use super::board::Board;
use super::row::Sample;
use super::series::Curves;
use crate::server::Stop;
use crate::{Problem, assets, picture_file};

/// Most points of a curve that a page may ask for.
const MOST_POINTS: usize = 5000;

/// A page that gets every step of a fast run would do nothing but draw.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone)]
struct Shared {
    board: Arc<Board>,
    stop: Stop,
}

pub(crate) fn router(board: Arc<Board>, stop: Stop) -> Router {
    // Events must not wait in a compressor's buffer.
    let whole = Router::new()
        .route("/api/runs", get(runs))
        .route("/api/curves", get(curves))
        .route("/api/samples", get(samples))
        .merge(assets::router("monitor.html"))
        .layer(CompressionLayer::new());
    Router::new()
        .route("/api/events", get(events))
        .route("/api/picture", get(picture))
        .route("/health", get(|| async { "ok\n" }))
        .merge(whole)
        .with_state(Shared { board, stop })
}

async fn runs(State(shared): State<Shared>) -> Response {
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    (fresh, Json(shared.board.since(0).data)).into_response()
}

async fn events(State(shared): State<Shared>) -> Response {
    let changed = shared.board.subscribe();
    let next = move |(seen, mut changed): (Option<u64>, watch::Receiver<u64>)| {
        let Shared { board, stop } = shared.clone();
        async move {
            if seen.is_some() {
                tokio::select! {
                    told = changed.changed() => told.ok()?,
                    () = stop.wait() => return None,
                }
                tokio::time::sleep(PAUSE).await;
            }
            changed.mark_unchanged();
            let changes = board.since(seen.unwrap_or(0));
            let event = Event::default()
                .event("runs")
                .data(changes.data.to_string());
            Some((Ok::<_, Infallible>(event), (Some(changes.version), changed)))
        }
    };
    let events = stream::unfold((None, changed), next);
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Sse::new(events).keep_alive(alive).into_response()
}

#[derive(Deserialize)]
struct Which {
    run: String,
    from: Option<f64>,
    to: Option<f64>,
    points: Option<usize>,
    n: Option<usize>,
}

fn no_run() -> Problem {
    Problem::not_found("there is no such run").hint("GET /api/runs lists them")
}

async fn curves(
    State(shared): State<Shared>,
    Query(which): Query<Which>,
) -> Result<Json<Curves>, Problem> {
    let from = which.from.unwrap_or(0.0);
    let to = which.to.unwrap_or(f64::INFINITY);
    let most = which.points.unwrap_or(1000).clamp(1, MOST_POINTS);
    let curves = shared.board.curves(&which.run, from, to, most);
    curves.map(Json).ok_or_else(no_run)
}

async fn samples(
    State(shared): State<Shared>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<Sample>>, Problem> {
    shared
        .board
        .samples(&which.run)
        .map(Json)
        .ok_or_else(no_run)
}

async fn picture(
    State(shared): State<Shared>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = shared.board.picture(&which.run, which.n.unwrap_or(0));
    picture_file::respond(path, headers).await
}
