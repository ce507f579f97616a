//! What of neuraltalk a browser or another program sees: the training monitor, the results viewer,
//! the captioning service.
//!
//! Here: routes, pages (embedded in the program) and what stands between them and the network. Not
//! here: what computes captions or scores (`generate`, `metrics`), what trains (`train`: this crate
//! only reads what a run leaves on disk), printing and signals of a terminal (`cli`).
//!
//! No page asks any other host for anything; nothing here fetches unless a caller names the host.

mod assets;
mod error;
mod guard;
mod picture_file;
mod problem;
mod server;

pub mod monitor;
pub mod serve;
pub mod view;

pub use error::WebError;
pub use guard::Guard;
pub use problem::Problem;
pub use server::{Server, Stop, Timing};
