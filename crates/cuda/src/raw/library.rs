//! Where the libraries of CUDA are found.
//!
//! The driver's own is where the system looks. NVRTC and cuBLAS come with a toolkit or with pip packages, whose folders the
//! system doesn't know: they are loaded from the folders that NEURALTALK_CUDA_LIBRARIES names (as PATH does), when the first of them is needed,
//! after which a search by name finds them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use libloading::Library;

use crate::Error;

/// Loads NVRTC and cuBLAS from the folders that NEURALTALK_CUDA_LIBRARIES names, once; nothing to do where it names none. Opening
/// a GPU does it by itself; early it says early what is wrong.
///
/// # Errors
/// If the folder can't be read, has none of them, or one can't be loaded.
pub fn look() -> Result<(), Error> {
    static LOOKED: OnceLock<Result<(), Error>> = OnceLock::new();
    let once = || {
        let Some(folder) = std::env::var_os("NEURALTALK_CUDA_LIBRARIES") else {
            return Ok(());
        };
        let folders: Vec<_> = std::env::split_paths(&folder).collect();
        let found = look_in(&folders).map_err(|error| Error::Libraries(error.to_string()))?;
        match found.is_empty() {
            true => Err(Error::Libraries(format!(
                "no CUDA library is in `{}`",
                Path::new(&folder).display()
            ))),
            false => Ok(()),
        }
    };
    LOOKED.get_or_init(once).clone()
}

/// Loads NVRTC and cuBLAS from folders, where they are there; returns the names of the files that were loaded.
///
/// # Errors
/// If a folder can't be read, or a library in it can't be loaded.
fn look_in(folders: &[PathBuf]) -> Result<Vec<String>, Error> {
    static KEPT: Mutex<Vec<Library>> = Mutex::new(Vec::new());
    let failed = |place: &Path, reason: String| {
        Error::call(format!("loading libraries of {}", place.display()), reason)
    };
    let mut files = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(folder).map_err(|e| failed(folder, e.to_string()))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        files.extend(names.filter_map(|name| Some((rank(&name)?, folder, name))));
    }
    // cuBLAS needs its other half first.
    files.sort();
    let mut names = Vec::new();
    for (_, folder, name) in files {
        // SAFETY: the initialisers of NVIDIA's libraries may run; that they are NVIDIA's is the promise of whoever named the
        // folder, as with LD_LIBRARY_PATH.
        let library = unsafe { Library::new(folder.join(&name)) };
        let library = library.map_err(|e| failed(folder, e.to_string()))?;
        KEPT.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(library);
        names.push(name);
    }
    Ok(names)
}

/// Order of loading; none for other files. Names as `libcublas.so.13`, and no second version of one.
fn rank(name: &str) -> Option<usize> {
    ["libnvrtc.so.", "libcublasLt.so.", "libcublas.so."]
        .iter()
        .position(|prefix| {
            name.strip_prefix(prefix)
                .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit()))
        })
}

pub(super) fn driver_is_there() -> bool {
    // A machine without a driver, which is most of them, learns so from one look instead of two hundred: `cudarc` tries
    // every name and folder that a driver ever had.
    #[cfg(target_os = "linux")]
    {
        // It stays loaded: `cudarc` then finds it without loading it anew.
        static DRIVER: OnceLock<Option<Library>> = OnceLock::new();
        // SAFETY: loads the driver's library, whose initialiser has no preconditions.
        let load = || unsafe { Library::new("libcuda.so.1") }.ok();
        if DRIVER.get_or_init(load).is_none() {
            return false;
        }
    }
    // SAFETY: as above.
    unsafe { cudarc::driver::sys::is_culib_present() }
}

pub(super) fn need_nvrtc() -> Result<(), Error> {
    look()?;
    // SAFETY: as above.
    let there = unsafe { cudarc::nvrtc::sys::is_culib_present() };
    there.then_some(()).ok_or(Error::NoLibrary("NVRTC"))
}

pub(super) fn need_cublas() -> Result<(), Error> {
    look()?;
    // SAFETY: as above.
    let there = unsafe { cudarc::cublas::sys::is_culib_present() };
    there.then_some(()).ok_or(Error::NoLibrary("cuBLAS"))
}

/// Versions of NVRTC and of cuBLAS, major and minor; none where one isn't found. Needs no GPU.
pub fn versions() -> [(&'static str, Option<(i32, i32)>); 2] {
    [
        ("NVRTC", super::nvrtc::version().ok()),
        ("cuBLAS", cublas_version()),
    ]
}

fn cublas_version() -> Option<(i32, i32)> {
    use cudarc::cublas::sys::{cublasGetProperty, libraryPropertyType_t as Property};
    need_cublas().ok()?;
    let property = |which| {
        let mut value = 0;
        // SAFETY: the library is there; a number to write to.
        let status = unsafe { cublasGetProperty(which, &mut value) };
        status.result().ok().map(|()| value)
    };
    Some((
        property(Property::MAJOR_VERSION)?,
        property(Property::MINOR_VERSION)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_and_full_versions_are_left_alone() {
        assert!(rank("libcublas.so.13").is_some());
        assert!(rank("libcublasLt.so.13") < rank("libcublas.so.13"));
        for other in [
            "libnvrtc-builtins.so.13.2",
            "libnvrtc.so",
            "libcudart.so.13",
        ] {
            assert_eq!(rank(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = look_in(&["/no/such/folder".into()]).expect_err("no folder");
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
