//! How the program ends: exit codes, which error gets which, and how an error is printed.
//!
//! Here: the table of exit codes, the walk along an error's causes. Not here: the messages
//! themselves, which the libraries write, each with its own `hint()`.

use std::error::Error;
use std::fmt;
use std::io;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// Some of it was done, or a check failed; what, was said.
    Partial,
    /// The command line makes no sense (clap's own code too).
    Usage,
    /// A file was read, and its contents are not usable.
    BadData,
    /// The operating system refused to read or write.
    Io,
    /// Training diverged.
    Diverged,
    /// Ctrl-C.
    Interrupted,
    /// What a program that a command stands in for would return.
    Script(u8),
}

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partial => 1,
            Self::Usage => 2,
            Self::BadData => 3,
            Self::Io => 4,
            Self::Diverged => 5,
            Self::Interrupted => 130,
            Self::Script(code) => code,
        }
    }
}

/// An error of the command line layer itself, where no library has one of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// What was typed can't be done.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What was read can't be used.
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self::new(Exit::BadData, message)
    }

    /// The operating system refused.
    pub(crate) fn io(message: impl Into<String>) -> Self {
        Self::new(Exit::Io, message)
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// What to try next.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// `cannot read FILE: why` with exit code 4, for `map_err` of the few files that no library reads.
pub(crate) fn cannot(
    what: &str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> anyhow::Error {
    let message = format!("cannot {what} `{}`", path.display());
    move |error| anyhow::Error::new(error).context(message)
}

/// The exit code of an error: the outermost cause that has an opinion decides.
pub(crate) fn classify(error: &anyhow::Error) -> Exit {
    error.chain().find_map(opinion).unwrap_or(Exit::Partial)
}

fn opinion(cause: &(dyn Error + 'static)) -> Option<Exit> {
    let io_or_data = |is_io: bool| if is_io { Exit::Io } else { Exit::BadData };
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.exit);
    }
    if let Some(error) = cause.downcast_ref::<data::DataError>() {
        return Some(io_or_data(error.is_io()));
    }
    if let Some(error) = cause.downcast_ref::<tensor::GpuError>() {
        return Some(match error.is_refusal() {
            true => Exit::Io,
            false => Exit::Usage,
        });
    }
    if cause.is::<data::VocabularyError>() || cause.is::<models::ParameterError>() {
        return Some(Exit::BadData);
    }
    if let Some(error) = cause.downcast_ref::<checkpoint::CheckpointError>() {
        use checkpoint::CheckpointError as E;
        return Some(io_or_data(matches!(
            error,
            E::Read { .. } | E::Write { .. }
        )));
    }
    if let Some(error) = cause.downcast_ref::<generate::GenerateError>() {
        return Some(match error {
            generate::GenerateError::Option { .. } => Exit::Usage,
            _ => Exit::BadData,
        });
    }
    if let Some(error) = cause.downcast_ref::<generate::CaptionError>() {
        use generate::CaptionError as E;
        return match error {
            // Transparent ones: they don't appear among the causes by themselves.
            E::Checkpoint(error) => opinion(error),
            E::Generate(error) => opinion(error),
            E::UnknownWord { .. } | E::NoCheckpoint => Some(Exit::Usage),
            E::Picture(data::picture::PictureError::Read { .. }) => Some(Exit::Io),
            _ => Some(Exit::BadData),
        };
    }
    if let Some(error) = cause.downcast_ref::<data::picture::PictureError>() {
        use data::picture::PictureError as E;
        return Some(io_or_data(matches!(error, E::Read { .. })));
    }
    if let Some(error) = cause.downcast_ref::<report::ReportError>() {
        return Some(io_or_data(error.is_io()));
    }
    if let Some(error) = cause.downcast_ref::<web::WebError>() {
        return Some(io_or_data(error.is_io()));
    }
    if let Some(error) = cause.downcast_ref::<train::TrainError>() {
        return Some(match error.exit_code() {
            2 => Exit::Usage,
            4 => Exit::Io,
            _ => Exit::BadData,
        });
    }
    if let Some(error) = cause.downcast_ref::<metrics::input::InputError>() {
        use metrics::input::InputError as E;
        return Some(io_or_data(matches!(error, E::Unreadable { .. })));
    }
    if let Some(error) = cause.downcast_ref::<metrics::meteor::MeteorError>() {
        use metrics::meteor::MeteorError as E;
        return Some(io_or_data(matches!(error, E::Read { .. })));
    }
    if cause.is::<data::MissingFeature>() {
        return Some(Exit::BadData);
    }
    cause.is::<io::Error>().then_some(Exit::Io)
}

/// What to try next, from the outermost cause that knows.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.hint.clone();
        }
        if let Some(error) = cause.downcast_ref::<data::DataError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<tensor::GpuError>() {
            return Some(error.hint());
        }
        if let Some(error) = cause.downcast_ref::<data::VocabularyError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<checkpoint::CheckpointError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<data::MissingFeature>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<generate::CaptionError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<data::picture::PictureError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<report::ReportError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<train::TrainError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<web::WebError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<metrics::input::InputError>() {
            return error.hint();
        }
        if let Some(error) = cause.downcast_ref::<metrics::meteor::MeteorError>() {
            return error.hint();
        }
        cause
            .downcast_ref::<generate::GenerateError>()
            .and_then(generate::GenerateError::hint)
    })
}

/// `error: ...`, its causes, `hint: ...`: one line each.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    let mut text = format!("error: {said}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many messages quote their cause, because libraries don't know who prints them.
        if !said.contains(&cause) {
            text += &format!("  because: {cause}\n");
            said = cause;
        }
    }
    if let Some(hint) = hint(error) {
        text += &format!("hint: {hint}\n");
    }
    text
}

/// True where the reader of our output went away (`neuraltalk ... | head`).
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn what_a_gpu_lacks_is_the_command_line_and_what_it_refuses_is_the_system() {
        let full = tensor::GpuError::OutOfMemory {
            wanted: 3 << 20,
            held: 10 << 20,
            total: 11 << 20,
        };
        let full = anyhow::Error::new(full);
        assert_eq!(classify(&full), Exit::Io);
        assert_eq!(
            describe(&full),
            "error: the GPU is out of memory: 3 MiB more were asked for, 10 of 11 MiB are in use here\n\
             hint: use a smaller `--batch-size`, or end what else runs on the GPU (`nvidia-smi` shows it)\n"
        );
        let none = train::TrainError::Gpu(tensor::GpuError::NoDriver);
        assert_eq!(classify(&anyhow::Error::new(none)), Exit::Usage);
    }

    #[test]
    fn a_cause_is_printed_once_and_the_hint_last() {
        let error =
            anyhow::Error::new(Failure::data("D is 3").hint("use D = 4")).context("cannot start");
        assert_eq!(
            describe(&error),
            "error: cannot start\n  because: D is 3\nhint: use D = 4\n"
        );
        assert_eq!(classify(&error), Exit::BadData);
    }

    #[test]
    fn io_below_a_context_is_exit_code_4() {
        let error = Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied))
            .context("cannot write `x`")
            .unwrap_err();
        assert_eq!(classify(&error).code(), 4);
        assert!(!is_broken_pipe(&error));
        let error = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&error));
    }

    #[test]
    fn a_quoted_cause_is_not_repeated() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let error = anyhow::Error::new(checkpoint::CheckpointError::Read {
            path: "a.p".into(),
            source,
        });
        assert_eq!(
            describe(&error),
            "error: cannot read `a.p`: entity not found\n"
        );
        assert_eq!(classify(&error), Exit::Io);
    }
}
