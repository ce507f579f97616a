//! The live monitor of training runs: `neuraltalk monitor`.
//!
//! Here: the board of all runs, the thread that keeps it up to date, the routes. Not here: reading a
//! run's folder (`run.rs`), NeuralTalk's status files (`status.rs`), the page (`assets/monitor*`).
//!
//! NeuralTalk had `monitorcv.html`, whose source named forty machines. This only reads: it takes no
//! lock, writes no file, and a run doesn't know that it is watched.

mod board;
mod find;
mod routes;
mod row;
mod run;
mod series;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use crate::server::Stop;
use crate::{Guard, guard, problem};
use board::Board;

/// Time between two looks at the files of known runs.
const LOOK: Duration = Duration::from_millis(500);

/// What is known of the runs in these folders (or single status files) at this moment:
/// `{"runs": [{"id", "state", "problem", "iteration", ...}], "roots": [..], "now_s"}`, as the page gets it.
pub fn now(roots: Vec<PathBuf>) -> serde_json::Value {
    let board = Board::new(roots);
    board.look();
    board.since(0).data
}

/// The folders (or single status files) that are watched, and the router that shows them.
///
/// The thread that reads ends when `stop` does.
pub fn router(roots: Vec<PathBuf>, guard: Guard, stop: &Stop) -> Router {
    let board = Arc::new(Board::new(roots));
    board.look();
    let (watched, stopping) = (Arc::clone(&board), stop.clone());
    let watch = move || {
        while !stopping.is_stopping() {
            std::thread::sleep(LOOK);
            watched.look();
        }
    };
    std::thread::Builder::new()
        .name("monitor".into())
        .spawn(watch)
        .expect("the system has threads left when a program starts");
    let router = routes::router(board, stop.clone());
    guard::wrap(problem::elsewhere(router), guard)
}
