//! Compiled kernels on disk, so that only the first start on a machine pays for the compiler (a second or two).
//!
//! A file's name is the hash of the source with the architecture and the compiler's version; whatever can't be read or written
//! is compiled again. Files are written whole and renamed.

use std::path::PathBuf;

/// Where compiled kernels are kept; nowhere is allowed.
#[derive(Debug, Clone, Default)]
pub struct Folder(Option<PathBuf>);

impl Folder {
    /// Kernels are kept in `folder`, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Some(folder.into()))
    }

    /// Kernels are compiled at every start.
    pub fn none() -> Self {
        Self(None)
    }

    /// Kernels are kept where this user's programs keep what they can make again: `XDG_CACHE_HOME`, or `.cache` in `HOME`; nowhere
    /// if neither is set.
    pub fn of_user() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let cache = set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")));
        Self(cache.map(|cache| cache.join("neuraltalk")))
    }

    fn path(&self, source: &str, kind: &str) -> Option<PathBuf> {
        let name = format!("kernels-{:032x}-{kind}.cubin", hash(source));
        Some(self.0.as_ref()?.join(name))
    }

    /// The code, if it was stored.
    pub(crate) fn read(&self, source: &str, kind: &str) -> Option<Vec<u8>> {
        let code = std::fs::read(self.path(source, kind)?).ok()?;
        // The driver reads as far as the header says: a file that was cut off must not get there.
        is_whole(&code).then_some(code)
    }

    /// Stores the code. A disk that is full or read-only costs the next start its compilation and nothing else.
    pub(crate) fn write(&self, source: &str, kind: &str, code: &[u8]) {
        let Some(path) = self.path(source, kind) else {
            return;
        };
        let Some(folder) = path.parent() else { return };
        let unfinished = path.with_extension(format!("{}.part", std::process::id()));
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&unfinished, code))
            .and_then(|()| std::fs::rename(&unfinished, &path));
        if written.is_err() {
            // Nothing more can be done about it, and nothing depends on it.
            let _ = std::fs::remove_file(&unfinished);
        }
    }
}

/// An ELF file of 64 bits whose section headers, which come last, lie inside it.
fn is_whole(code: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| {
        let field = code.get(at..at + bytes)?;
        Some(field.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b)))
    };
    let end = || number(0x28, 8)?.checked_add(number(0x3a, 2)? * number(0x3c, 2)?);
    code.starts_with(b"\x7fELF\x02") && end().is_some_and(|end| end <= code.len() as u64)
}

/// Fowler, Noll and Vo's FNV-1a, 128 bits: the same in every version of the program.
fn hash(text: &str) -> u128 {
    text.bytes()
        .fold(0x6c62272e07bb014262b821756295c58d, |h, b| {
            (h ^ u128::from(b)).wrapping_mul(0x0000000001000000000000000000013b)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published test vectors of FNV-1a.
    #[test]
    fn known_hashes() {
        assert_eq!(hash(""), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(hash("a"), 0xd228cb696f1a8caf78912b704e4a8964);
    }

    #[test]
    fn what_was_stored_comes_back_for_the_same_source_and_kind_only() {
        let place = std::env::temp_dir().join(format!("neuraltalk-kernels-{}", std::process::id()));
        let folder = Folder::new(&place);
        // A header whose section table (one entry of 64 bytes at 64) ends where the file does.
        let mut code = vec![0u8; 128];
        code[..5].copy_from_slice(b"\x7fELF\x02");
        (code[0x28], code[0x3a], code[0x3c]) = (64, 64, 1);
        folder.write("source", "sm_90-13.0", &code);
        assert_eq!(folder.read("source", "sm_90-13.0"), Some(code.clone()));
        assert_eq!(folder.read("source ", "sm_90-13.0"), None);
        assert_eq!(folder.read("source", "sm_80-13.0"), None);
        for cut in 0..code.len() {
            folder.write("source", "cut", &code[..cut]);
            assert_eq!(folder.read("source", "cut"), None, "{cut} bytes");
        }
        std::fs::remove_dir_all(&place).expect("the folder was made");
        Folder::none().write("source", "sm_90-13.0", &code);
        assert_eq!(Folder::none().read("source", "sm_90-13.0"), None);
    }
}
