//! Why a picture could not be decoded.
//!
//! Here: the reasons. Not here: which of a folder's pictures it was, unless a file was opened.

use std::path::PathBuf;

/// A picture that gives no pixels.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file can't be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// One of the reasons below, of a file with a name.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<PictureError>,
    },
    /// The first bytes are of no known format.
    #[error(
        "not a picture: its {bytes} bytes begin like none of JPEG, PNG, WebP, GIF, BMP, TIFF, PNM"
    )]
    UnknownFormat {
        /// Size of the file.
        bytes: usize,
    },
    /// More pixels than allowed.
    #[error("{width} x {height} pixels, at most {limit} are decoded")]
    TooManyPixels {
        /// Columns that the header states.
        width: u32,
        /// Rows that the header states.
        height: u32,
        /// [`DecodeLimits::max_pixels`](super::DecodeLimits::max_pixels).
        limit: u64,
    },
    /// Decoding would take more memory than allowed.
    #[error("decoding needs more than {limit} bytes of memory")]
    TooManyBytes {
        /// [`DecodeLimits::max_bytes`](super::DecodeLimits::max_bytes).
        limit: u64,
    },
    /// The file ends before the picture does.
    #[error("the picture is cut off after {bytes} bytes")]
    Truncated {
        /// Size of the file.
        bytes: usize,
    },
    /// Anything else that the decoder refuses.
    #[error("the picture does not decode: {0}")]
    Malformed(String),
}

impl PictureError {
    /// What to try next.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::File { source, .. } => return source.hint(),
            Self::Read { .. } => return None,
            Self::UnknownFormat { .. } => "convert it to JPEG or PNG",
            Self::TooManyPixels { .. } | Self::TooManyBytes { .. } => {
                "if you trust the file, make it smaller or raise the limit"
            }
            Self::Truncated { .. } => {
                "copy it again; `caption` and `features` use the part that is there with --allow-truncated"
            }
            Self::Malformed(_) => "does another program open it? save it again from there",
        };
        Some(text.into())
    }
}
