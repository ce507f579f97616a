//! A run's folder: which file is where, and that only one process trains in it.
//!
//! Not here: what the files hold. `config.toml` is what makes a folder a run; it is written in one
//! piece before anything else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use checkpoint::LocalDisk;

use crate::TrainError;
use crate::event::Kind;
use crate::options::Options;

/// A run's folder, locked for this process as long as this lives; a killed process leaves no lock.
#[derive(Debug)]
pub(crate) struct RunFolder {
    root: PathBuf,
    lock: File,
}

impl Drop for RunFolder {
    /// Closing the file isn't enough: a process that another thread of this program is just starting
    /// holds a copy of the descriptor, and with it the lock, until it runs its own program.
    fn drop(&mut self) {
        // Nothing is lost when it fails: the lock ends with its last descriptor.
        let _ = self.lock.unlock();
    }
}

impl RunFolder {
    /// A new run's folder with its `config.toml`.
    pub(crate) fn create(root: &Path, options: &Options) -> Result<Self, TrainError> {
        fs::create_dir_all(root).map_err(TrainError::write(root))?;
        let folder = Self {
            root: root.to_owned(),
            lock: lock(root)?,
        };
        let config = folder.config();
        // A checkpoint of another run under our name would be taken for ours on resume.
        let last = folder.checkpoint(options, Kind::Last);
        let best = folder.checkpoint(options, Kind::Best);
        for path in [&config, &last, &best] {
            if path.try_exists().map_err(TrainError::read(path))? {
                return Err(TrainError::RunExists { path: path.clone() });
            }
        }
        // Better now than after the first epoch.
        if let Some(place) = last.parent() {
            writable(place)?;
        }
        replace(&config, options.to_toml().as_bytes())?;
        Ok(folder)
    }

    /// The folder of a run that was started before, with its options.
    pub(crate) fn open(root: &Path) -> Result<(Self, Options), TrainError> {
        let config = root.join("config.toml");
        if !config.try_exists().map_err(TrainError::read(&config))? {
            return Err(TrainError::NoRun { run: root.into() });
        }
        let folder = Self {
            root: root.to_owned(),
            lock: lock(root)?,
        };
        let options = Options::load(&config)?;
        Ok((folder, options))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    pub(crate) fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    pub(crate) fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// `status/<host>_status.json`, or in NeuralTalk's `worker_status_output_directory`.
    pub(crate) fn status(&self, options: &Options, host: &str) -> PathBuf {
        let folder = match &options.worker_status_output_directory {
            Some(folder) => folder.clone(),
            None => self.root.join("status"),
        };
        folder.join(format!("{host}_status.json"))
    }

    /// Where the run keeps a checkpoint.
    pub(crate) fn checkpoint(&self, options: &Options, kind: Kind) -> PathBuf {
        checkpoint_in(&self.root, options, kind)
    }
}

/// Makes the folder if it isn't there, and refuses one in which nothing can be written.
fn writable(folder: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
    let probe = folder.join(format!(".writable-{}", std::process::id()));
    let made = File::create(&probe).and_then(|_| fs::remove_file(&probe));
    made.map_err(TrainError::write(folder))
}

/// A checkpoint of the run in a folder, if it is there.
pub fn run_checkpoint(run: &Path, kind: Kind) -> Option<PathBuf> {
    // A folder that has only checkpoints may have lost its config.
    let options = Options::load(&run.join("config.toml")).unwrap_or_default();
    let file = checkpoint_in(run, &options, kind);
    file.is_file().then_some(file)
}

/// [`Kind::file_name`]; in a folder that runs may share, the run's name goes before.
fn checkpoint_in(run: &Path, options: &Options, kind: Kind) -> PathBuf {
    let file = kind.file_name();
    let Some(folder) = &options.checkpoint_output_directory else {
        return run.join(file);
    };
    // `.` and `..` have no name of their own.
    let whole = run.canonicalize();
    let whole = whole.as_deref().unwrap_or(run);
    match run.file_name().or(whole.file_name()) {
        None => folder.join(file),
        Some(name) => folder.join(format!("{}-{file}", name.to_string_lossy())),
    }
}

fn lock(root: &Path) -> Result<File, TrainError> {
    let path = root.join(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(TrainError::write(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrainError::Locked { run: root.into() }),
        // A file system without locks must not make training impossible.
        Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(e)) => Err(TrainError::write(&path)(e)),
    }
}

/// Replaces a file in one piece, creating its folder where needed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
    }
    checkpoint::replace(&mut LocalDisk, path, |out: &mut dyn Write| {
        out.write_all(bytes)
    })
    .map_err(TrainError::write(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_no_run_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("a/run");
        let options = Options::default();
        assert!(matches!(
            RunFolder::open(&root),
            Err(TrainError::NoRun { .. })
        ));
        let held = RunFolder::create(&root, &options).expect("created");
        assert!(matches!(
            RunFolder::open(&root),
            Err(TrainError::Locked { .. })
        ));
        assert!(matches!(
            RunFolder::create(&root, &options),
            Err(TrainError::Locked { .. })
        ));
        drop(held);
        let again = RunFolder::create(&root, &options).expect_err("a run is there");
        assert!(matches!(again, TrainError::RunExists { .. }), "{again}");
        assert_eq!(RunFolder::open(&root).expect("a run").1, options);
    }
}
