//! Old or new, never half: a disk that fails at the n-th operation, for every n, and forgets
//! whatever was not synced.

mod fixtures;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use checkpoint::{Disk, load_from, replace, save, save_to};
use fixtures::{bytes, lstm, resumable};

/// What may lie on the platter after a cut.
#[derive(Default)]
struct Platter {
    /// Operations until it fails; then it fails for ever.
    left: usize,
    /// Contents: what was written, and what was synced of it.
    files: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Names as programs see them, as they are for certain, and as they were in between.
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    unsynced: Vec<BTreeMap<PathBuf, usize>>,
}

impl Platter {
    fn with(path: &str, contents: &[u8]) -> Self {
        let names = BTreeMap::from([(path.into(), 0)]);
        Self {
            files: vec![(contents.to_vec(), Some(contents.to_vec()))],
            durable: names.clone(),
            names,
            ..Self::default()
        }
    }

    fn operation(&mut self) -> io::Result<()> {
        match self.left {
            0 => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => {
                self.left -= 1;
                Ok(())
            }
        }
    }

    /// Everything that a reader may find under a name after the power comes back.
    fn survivors(&self, path: &str) -> BTreeSet<Option<Vec<u8>>> {
        let mut found = BTreeSet::new();
        for names in self.unsynced.iter().chain([&self.durable, &self.names]) {
            let Some(&file) = names.get(Path::new(path)) else {
                found.insert(None);
                continue;
            };
            let (written, synced) = &self.files[file];
            if synced.as_ref() != Some(written) {
                // Any part of it may have got there.
                found.insert(Some(written[..written.len() / 2].to_vec()));
                found.insert(Some(synced.clone().unwrap_or_default()));
            }
            found.insert(Some(written.clone()));
        }
        found
    }

    fn renamed(&mut self) {
        self.unsynced.push(self.names.clone());
    }
}

#[derive(Clone)]
struct Dying(Rc<RefCell<Platter>>);

struct DyingFile(Dying, usize);

impl Write for DyingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut platter = self.0.0.borrow_mut();
        let result = platter.operation();
        // Even a write that fails may have written a part.
        let part = if result.is_ok() {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        platter.files[self.1].0.extend(&bytes[..part]);
        result.map(|()| part)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.0.borrow_mut().operation()
    }
}

impl Disk for Dying {
    type File = DyingFile;

    fn create(&mut self, path: &Path) -> io::Result<DyingFile> {
        let mut platter = self.0.borrow_mut();
        platter.operation()?;
        let file = platter.files.len();
        platter.files.push((Vec::new(), None));
        platter.names.insert(path.into(), file);
        platter.renamed();
        drop(platter);
        Ok(DyingFile(self.clone(), file))
    }

    fn sync(&mut self, file: &mut DyingFile) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        platter.operation()?;
        let written = platter.files[file.1].0.clone();
        platter.files[file.1].1 = Some(written);
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        platter.operation()?;
        let file = platter.names.remove(from).expect("a file to rename");
        platter.names.insert(to.into(), file);
        platter.renamed();
        Ok(())
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        assert_eq!(folder, Path::new("run"));
        let mut platter = self.0.borrow_mut();
        platter.operation()?;
        platter.durable = platter.names.clone();
        platter.unsynced.clear();
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        platter.operation()?;
        platter.names.remove(path).expect("a file to remove");
        platter.renamed();
        Ok(())
    }
}

/// Runs `save` with every number of operations that succeed, and hands the platter to `check`
/// each time; returns how many operations a save takes.
fn at_every_cut(check: impl Fn(&Platter, usize, bool)) -> usize {
    for left in 0.. {
        let mut platter = Platter::with("run/last", b"old");
        platter.left = left;
        let disk = Dying(Rc::new(RefCell::new(platter)));
        let result = save_to(&mut disk.clone(), &resumable(), Path::new("run/last"));
        check(&disk.0.borrow(), left, result.is_ok());
        if result.is_ok() {
            return left;
        }
    }
    unreachable!()
}

#[test]
fn a_cut_at_any_operation_leaves_the_old_file_or_the_new() {
    let new = bytes(&resumable());
    let operations = at_every_cut(|platter, left, ok| {
        let survivors = platter.survivors("run/last");
        for survivor in &survivors {
            let survivor = survivor.as_deref().expect("a file");
            assert!(survivor == b"old" || survivor == new, "cut at {left}");
        }
        if ok {
            assert_eq!(survivors, BTreeSet::from([Some(new.clone())]));
            assert_eq!(platter.names.len(), 1, "the temporary file is gone");
        }
    });
    assert!(operations > 12, "only {operations} operations were cut");
}

/// The test above must be able to fail: without its syncs or its rename `replace` is caught.
#[test]
fn the_dying_disk_catches_a_careless_writer() {
    type Careless = fn(&mut Dying) -> io::Result<()>;
    let temporary = Path::new("run/.last.tmp");
    let last = Path::new("run/last");
    let writers: [(&str, Careless); 3] = [
        ("in place", |disk| {
            let mut file = disk.create(Path::new("run/last"))?;
            file.write_all(b"new")?;
            disk.sync(&mut file)?;
            disk.sync_folder(Path::new("run"))
        }),
        ("no sync of the file", |disk| {
            disk.create(Path::new("run/.last.tmp"))?.write_all(b"new")?;
            disk.rename(Path::new("run/.last.tmp"), Path::new("run/last"))?;
            disk.sync_folder(Path::new("run"))
        }),
        ("no sync of the folder", |disk| {
            let mut file = disk.create(Path::new("run/.last.tmp"))?;
            file.write_all(b"new")?;
            disk.sync(&mut file)?;
            disk.rename(Path::new("run/.last.tmp"), Path::new("run/last"))
        }),
    ];
    assert_ne!(temporary, last);
    for (name, write) in writers {
        let caught = (0..20).any(|left| {
            let mut platter = Platter::with("run/last", b"old");
            platter.left = left;
            let disk = Dying(Rc::new(RefCell::new(platter)));
            let ok = write(&mut disk.clone()).is_ok();
            let survivors = disk.0.borrow().survivors("run/last");
            let whole =
                |s: &Option<Vec<u8>>| s.as_deref() == Some(b"old") || s.as_deref() == Some(b"new");
            !survivors.iter().all(whole)
                || ok && survivors != BTreeSet::from([Some(b"new".to_vec())])
        });
        assert!(caught, "{name}");
    }
}

#[test]
fn a_killed_writer_s_leavings_are_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("last.safetensors");
    let stale = folder.path().join(".last.safetensors.tmp");
    std::fs::write(&stale, vec![7; 1 << 20]).expect("a stale file");
    save(&lstm(), &path).expect("saved");
    assert!(!stale.exists());
    assert_eq!(std::fs::read(&path).expect("the file"), bytes(&lstm()));
}

/// Two threads that save to one path: every reader finds one of the two, whole.
#[test]
fn writers_at_the_same_time_do_not_mix() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("best.safetensors");
    save(&lstm(), &path).expect("saved");
    let (one, two) = (bytes(&lstm()), bytes(&resumable()));
    std::thread::scope(|scope| {
        let writers = [lstm(), resumable()].map(|checkpoint| {
            let path = &path;
            scope.spawn(move || (0..50).for_each(|_| save(&checkpoint, path).expect("saved")))
        });
        while !writers.iter().all(|writer| writer.is_finished()) {
            let found = std::fs::read(&path).expect("a file at any time");
            assert!(
                found == one || found == two,
                "a mixture of {} bytes",
                found.len()
            );
            let length = found.len() as u64;
            load_from(&found[..], length, &path).expect("a checkpoint at any time");
        }
    });
}

#[test]
fn a_folder_or_a_missing_folder_is_a_clear_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("no/such/last");
    let error = save(&lstm(), &missing).expect_err("no folder");
    assert!(error.to_string().contains("no/such/last"), "{error}");
    let error =
        replace(&mut checkpoint::LocalDisk, Path::new("/"), |_| Ok(())).expect_err("a folder");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
