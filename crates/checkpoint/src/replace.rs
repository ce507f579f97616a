//! Replacing a file in one piece: old or new, never half.
//!
//! Here: the order of the operations, behind a [`Disk`] so that tests can fail each of them, and
//! the real disk. Not here: what is written.
//!
//! Write to a temporary file in the same folder, sync it, rename it over the old one, sync the
//! folder. Without the first sync the rename can reach the disk before the contents, without the
//! second the rename itself can be lost (Pillai et al. 2014, "All File Systems Are Not Created
//! Equal").

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The operations that replacing a file needs.
pub trait Disk {
    /// An open file.
    type File: Write;
    /// Opens an empty file for writing, whatever was there before.
    ///
    /// # Errors
    /// What the system reports.
    fn create(&mut self, path: &Path) -> io::Result<Self::File>;
    /// Returns once the file's contents survive a power cut.
    ///
    /// # Errors
    /// What the system reports.
    fn sync(&mut self, file: &mut Self::File) -> io::Result<()>;
    /// Gives a file another name, replacing what had it, in one step.
    ///
    /// # Errors
    /// What the system reports.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns once the names in a folder survive a power cut.
    ///
    /// # Errors
    /// What the system reports.
    fn sync_folder(&mut self, folder: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// What the system reports.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// Replaces the file at `path` by what `write` writes.
///
/// The temporary file is `.NAME.tmp` beside it: always the same name, so that what a killed
/// writer left behind is overwritten by the next one and never piles up.
///
/// # Errors
/// The first operation's that failed; `path` then holds the old file or the new one.
pub fn replace<D: Disk>(
    disk: &mut D,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let (folder, temporary) = neighbours(path)?;
    let mut file = disk.create(&temporary)?;
    let written = write(&mut file)
        .and_then(|()| file.flush())
        .and_then(|()| disk.sync(&mut file))
        .and_then(|()| disk.rename(&temporary, path));
    if let Err(error) = written {
        // On a full disk the half file would be in the way. That it can't be removed either is
        // no news after the error that is reported.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.sync_folder(&folder)
}

/// The folder of a file and the temporary file's path in it.
fn neighbours(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let name = path.file_name().ok_or_else(|| {
        let problem = "the path names a folder, not a file";
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".tmp");
    let temporary = folder.join(temporary);
    Ok((folder, temporary))
}

/// The file system of this machine.
#[derive(Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    type File = BufWriter<File>;

    /// Waits while another process is writing the same file: two writers in one temporary file
    /// would rename a mixture into place.
    fn create(&mut self, path: &Path) -> io::Result<Self::File> {
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            match file.lock() {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                other => other?,
            }
            // While we waited the other writer may have renamed this very file into place;
            // truncating it now would destroy a good checkpoint.
            if still_there(&file, path)? {
                file.set_len(0)?;
                return Ok(BufWriter::with_capacity(1 << 18, file));
            }
        }
    }

    fn sync(&mut self, file: &mut Self::File) -> io::Result<()> {
        file.get_ref().sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        // Elsewhere a folder can't be opened; there the rename is durable by itself.
        match cfg!(unix) {
            true => File::open(folder)?.sync_all(),
            false => Ok(()),
        }
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// Whether `path` still names this open file.
#[cfg(unix)]
fn still_there(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn still_there(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true) // an open file can't be renamed there
}
