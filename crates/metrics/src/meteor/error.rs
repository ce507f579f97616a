//! What can go wrong while METEOR's data files are read.
//!
//! Here: the error and its hint. Not here: scoring, which can't fail.

use std::path::PathBuf;

/// METEOR's data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MeteorError {
    /// The operating system refused a file.
    #[error("cannot read METEOR's data `{}`: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of the distribution isn't where it belongs.
    #[error("METEOR's data `{}` has no `{entry}`", path.display())]
    Missing {
        /// The folder or jar that was searched.
        path: PathBuf,
        /// The file that it should hold.
        entry: String,
    },
    /// The jar is no zip archive, or a damaged one.
    #[error("cannot unpack METEOR's jar `{}`: {source}", path.display())]
    Archive {
        /// The jar.
        path: PathBuf,
        /// What the zip reader said.
        source: zip::result::ZipError,
    },
    /// A file unpacks to more bytes than any real one.
    #[error("`{file}` unpacks to more than {limit} bytes")]
    TooLarge {
        /// The file, or `jar: entry`.
        file: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file isn't text.
    #[error("`{file}` is not UTF-8 text: byte {position} is 0x{found:02x}")]
    NotText {
        /// The file, or `jar: entry`.
        file: String,
        /// Offset of the first bad byte.
        position: usize,
        /// That byte.
        found: u8,
    },
    /// A line isn't what the format has there.
    #[error("`{file}` line {line}: expected {expected}, found {found}")]
    Line {
        /// The file, or `jar: entry`.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What the format has there.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// The paraphrase table can't be decompressed to its end.
    #[error("cannot unpack `{}` after line {line}: {source}", path.display())]
    Unpack {
        /// The gzip file.
        path: PathBuf,
        /// Complete lines that were read before.
        line: u64,
        /// What the decompressor said.
        source: std::io::Error,
    },
}

impl MeteorError {
    /// What to try next; the program prints it as `hint: …`.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Read { .. } => {
                "give the folder `meteor` of an installed pycocoevalcap, or its meteor-1.5.jar"
            }
            Self::Missing { entry, .. } if entry.contains("paraphrase") => {
                "keep data/paraphrase-en.gz beside the jar, as METEOR's distribution has it"
            }
            Self::Missing { .. } => {
                "this should be METEOR 1.5; other versions are laid out differently"
            }
            Self::Archive { .. } | Self::Unpack { .. } | Self::TooLarge { .. } => {
                "the file looks damaged or cut off: install pycocoevalcap again"
            }
            Self::NotText { .. } | Self::Line { .. } => {
                "the file looks damaged or is another METEOR version's: install pycocoevalcap again"
            }
        };
        Some(hint.to_owned())
    }
}

/// At most 40 characters of what was found, printable, in quotes.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(160)]);
    let start: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(40).is_some() {
        "…"
    } else {
        ""
    };
    format!("`{start}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_say_what_to_do_about_a_missing_file() {
        let hint = |entry: &str| {
            let error = MeteorError::Missing {
                path: "meteor".into(),
                entry: entry.to_owned(),
            };
            error.hint().expect("a hint")
        };
        assert!(hint("data/paraphrase-en.gz").starts_with("keep data/paraphrase-en.gz"));
        assert!(hint("function/english.words").contains("METEOR 1.5"));
    }
}
