//! Whether a picture's file is there and begins like a picture.
//!
//! Only the header is read (size and kind), so that a check of 100,000 pictures takes seconds; a file that is cut off
//! later is found when it is decoded. Not here: decoding.

use std::io::ErrorKind;
use std::path::{Component, Path};

use super::ProblemKind;

/// The problem of the picture at `path` in `folder`, if it has one.
pub(super) fn check(folder: &Path, path: &str) -> Option<ProblemKind> {
    let relative = Path::new(path);
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !relative.components().all(inside) || relative.file_name().is_none() {
        return Some(ProblemKind::PathOutsideFolder);
    }
    let reason = match imagesize::size(folder.join(relative)) {
        Ok(size) if 0 < size.width && 0 < size.height => return None,
        Ok(size) => format!("{} x {} pixels", size.width, size.height),
        Err(imagesize::ImageError::IoError(e)) if e.kind() == ErrorKind::NotFound => {
            return Some(ProblemKind::MissingPicture);
        }
        Err(e) => e.to_string(),
    };
    Some(ProblemKind::UnreadablePicture { reason })
}
