//! Copies of the evaluated pictures in one folder, so that results can be passed on with them.
//!
//! NeuralTalk, `eval_sentence_predictions.py --dump_folder`, which calls `cp` through a shell;
//! here no name can be a command, and two pictures of one name are an error.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::ReportError;
use crate::error::write_file;

/// Copies the files `sources` into `folder`, each under its own file name; the folder is created
/// if it isn't there.
///
/// Returns what kept single pictures from being copied.
///
/// # Errors
/// Two files have the same name (nothing is copied then), or the folder can't be written.
pub fn copy_pictures(sources: &[PathBuf], folder: &Path) -> Result<Vec<ReportError>, ReportError> {
    let mut names = HashMap::new();
    for source in sources {
        if let Some(name) = source.file_name()
            && let Some(first) = names.insert(name, source)
            && first != source
        {
            let (first, second) = (first.clone(), source.clone());
            return Err(ReportError::SameName { first, second });
        }
    }
    fs::create_dir_all(folder).map_err(|source| ReportError::Write {
        path: folder.to_path_buf(),
        source,
    })?;
    let mut missing = Vec::new();
    for source in sources {
        match copy(source, folder) {
            Err(error @ ReportError::Read { .. }) => missing.push(error),
            other => other?,
        }
    }
    Ok(missing)
}

fn copy(source: &Path, folder: &Path) -> Result<(), ReportError> {
    let unreadable = |error| ReportError::Read {
        path: source.to_path_buf(),
        source: error,
    };
    let name = source.file_name().ok_or_else(|| {
        unreadable(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path names no file",
        ))
    })?;
    let target = folder.join(name);
    // A picture that is in the folder already is replaced by itself: it was read before the rename.
    let bytes = fs::read(source).map_err(unreadable)?;
    write_file(&target, |out| out.write_all(&bytes))
}
