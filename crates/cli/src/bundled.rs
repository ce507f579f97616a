//! Which model captions photographs where none is named.
//!
//! Here: the variable `NEURALTALK_MODEL` and the places where the bundled model may lie, in this order: beside the
//! program (`models/`, or `share/neuraltalk/` of the folder that its `bin` is in), in the user's data folder, in the
//! checkout that the program was built from. Not here: what is in a model (`checkpoint`).

use std::env;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Names the model to use instead of the bundled one.
pub(crate) const VARIABLE: &str = "NEURALTALK_MODEL";

/// The bundled model's file.
const FILE: &str = "flickr8k.safetensors";

/// The models that were named, else the variable's, else the bundled one.
pub(crate) fn models(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(vec![path.into()]);
    }
    let places = places();
    match places.iter().find(|path| path.is_file()) {
        Some(path) => Ok(vec![path.clone()]),
        None => {
            let looked: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
            Err(
                Failure::usage(format!("no model: there is none of {}", looked.join(", "))).hint(
                    format!("name one with --checkpoint, or in the variable {VARIABLE}"),
                ),
            )
        }
    }
}

fn places() -> Vec<PathBuf> {
    let program = env::current_exe().and_then(|path| path.canonicalize());
    let beside = program
        .ok()
        .and_then(|path| Some(path.parent()?.to_owned()));
    let mut places = Vec::new();
    if let Some(folder) = beside {
        places.push(folder.join("models").join(FILE));
        if let Some(above) = folder.parent() {
            places.push(above.join("share/neuraltalk").join(FILE));
        }
    }
    places.extend(data_folder().map(|folder| folder.join("neuraltalk").join(FILE)));
    // `cargo build` and `cargo install --path` leave the model in the checkout.
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    places.extend(checkout.map(|root| root.join("models").join(FILE)));
    places
}

/// Where a user's programs keep their data: the XDG base directories, and what macOS and Windows have instead.
fn data_folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if cfg!(windows) {
        return variable("LOCALAPPDATA");
    }
    let usual = match cfg!(target_os = "macos") {
        true => "Library/Application Support",
        false => ".local/share",
    };
    let xdg = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
    xdg.or_else(|| Some(variable("HOME")?.join(usual)))
}
