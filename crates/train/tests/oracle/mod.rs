//! Where the original programs' outputs lie, if they are there.

use std::path::{Path, PathBuf};

/// `oracle` in the folder that `NEURALTALK_SHARED` names (`../shared` beside the project if not
/// set); none, with a line that says so, where it doesn't exist.
pub fn root() -> Option<PathBuf> {
    let shared = match std::env::var_os("NEURALTALK_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let root = shared.join("oracle");
    if root.is_dir() {
        return Some(root);
    }
    println!("skipped: no golden outputs in `{}`", root.display());
    None
}
