//! Why a server did not start, or a file that a page shows could not be read.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What the caller of this crate gets to see; what a client gets is a [`crate::Problem`].
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As it was asked for.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server itself failed while it ran.
    #[error("the server on {address} stopped: {source}")]
    Serve {
        /// Where it listened.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// No threads to run on.
    #[error("cannot start the server's threads: {0}")]
    Threads(io::Error),
    /// A file can't be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file was read and is not what it should be.
    #[error("`{}`: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found and where.
        problem: String,
    },
    /// A result file that `report` refused.
    #[error(transparent)]
    Report(#[from] report::ReportError),
}

impl WebError {
    /// What to try next; the program prints it as `hint: …`.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program listens there; choose another --port, or 0 for any"
                }
                io::ErrorKind::PermissionDenied => "ports below 1024 are the administrator's",
                io::ErrorKind::AddrNotAvailable => {
                    "--host is an address of this machine; 127.0.0.1 is reached from here only"
                }
                _ => "--host is an address of this machine, such as 127.0.0.1 or 0.0.0.0",
            },
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "check the path"
            }
            Self::Malformed { .. } => {
                "expected is a result_struct.json (eval and predict write it) or NeuralTalk2's vis.json"
            }
            Self::Report(error) => return error.hint(),
            Self::Serve { .. } | Self::Threads(_) | Self::Read { .. } => return None,
        };
        Some(text.into())
    }

    /// True if the operating system refused, false if a file's contents are wrong.
    pub fn is_io(&self) -> bool {
        match self {
            Self::Malformed { .. } => false,
            Self::Report(error) => error.is_io(),
            _ => true,
        }
    }
}
