//! Whether the pictures are there and can be decoded.
//!
//! Each is decoded as training would, on all cores, or (far quicker) only its header is read: size and kind. Not here:
//! decoding.

use std::io::ErrorKind;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ProblemKind;
use crate::dataset::ImageRecord;
use crate::picture::{DecodeLimits, PictureError, open};

/// The problem of each picture in `folder`, if it has one; `done` is called after each.
pub(super) fn check_all(
    folder: &Path,
    images: &[ImageRecord],
    headers_only: bool,
    done: &(dyn Fn() + Sync),
) -> Vec<Option<ProblemKind>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(image) = images.get(at)
        {
            if let Some(problem) = check(folder, &image.path, headers_only) {
                found.push((at, problem));
            }
            done();
        }
        found
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all = vec![None; images.len()];
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(found) => found.into_iter().for_each(|(at, p)| all[at] = Some(p)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all
}

fn check(folder: &Path, path: &str, headers_only: bool) -> Option<ProblemKind> {
    let relative = Path::new(path);
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !relative.components().all(inside) || relative.file_name().is_none() {
        return Some(ProblemKind::PathOutsideFolder);
    }
    let file = folder.join(relative);
    let reason = match headers_only {
        true => header(&file),
        false => match open(&file, &DecodeLimits::default()) {
            Ok(_) => return None,
            Err(PictureError::Read { source, .. }) => Err(source),
            Err(PictureError::File { source, .. }) => Ok(source.to_string()),
            Err(error) => Ok(error.to_string()),
        },
    };
    match reason {
        Ok(reason) if reason.is_empty() => None,
        Ok(reason) => Some(ProblemKind::UnreadablePicture { reason }),
        Err(e) if e.kind() == ErrorKind::NotFound => Some(ProblemKind::MissingPicture),
        Err(e) => Some(ProblemKind::UnreadablePicture {
            reason: e.to_string(),
        }),
    }
}

/// What is wrong with a header, nothing if that is empty; or why it can't be read.
fn header(file: &Path) -> Result<String, std::io::Error> {
    match imagesize::size(file) {
        Ok(size) if 0 < size.width && 0 < size.height => Ok(String::new()),
        Ok(size) => Ok(format!("{} x {} pixels", size.width, size.height)),
        Err(imagesize::ImageError::IoError(e)) if e.kind() != ErrorKind::UnexpectedEof => Err(e),
        Err(imagesize::ImageError::IoError(_)) => Ok("the file ends within its header".into()),
        Err(e) => Ok(e.to_string()),
    }
}
