//! Result files against those that the original programs wrote.
//!
//! The originals are not part of the repository: `NEURALTALK_SHARED` says where they are, by
//! default `shared` beside the project's folder.

use std::fs;
use std::path::{Path, PathBuf};

use report::{bleu_files, read_result_struct, render_html, render_result_struct};

/// The folder of the originals, or None with a line that says so.
fn shared() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("NEURALTALK_SHARED").map_or_else(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no folder `{}`", folder.display());
    None
}

/// The files in `folder` whose names end with `.result_struct.json`.
fn result_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of goldens");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = paths
        .filter(|p| p.to_string_lossy().ends_with(".result_struct.json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no result files in {}", folder.display());
    files
}

#[test]
fn reading_and_writing_gives_the_same_bytes() {
    let Some(shared) = shared() else { return };
    for (folder, eval) in [("oracle/nt1/eval", true), ("oracle/nt1/predict", false)] {
        for file in result_files(&shared.join(folder)) {
            let result = read_result_struct(&file).expect("a genuine file");
            assert_eq!(result.gtppl.is_some(), eval, "{}", file.display());
            assert!(result.imgblobs.iter().all(|b| b.imgid.is_some() == eval));
            assert!(
                result
                    .imgblobs
                    .iter()
                    .all(|b| b.references.is_some() == eval)
            );
            let text = render_result_struct(&result).expect("finite numbers");
            assert_eq!(
                text,
                fs::read_to_string(&file).expect("text"),
                "{}",
                file.display()
            );
        }
    }
}

#[test]
fn the_released_models_files_are_read() {
    let Some(shared) = shared() else { return };
    for (file, pictures) in [
        ("data/example_images/result_struct.json", 16),
        (
            "data/neuraltalk_outputs/result_struct_8k_in_coco.json",
            1000,
        ),
    ] {
        let result = read_result_struct(&shared.join(file)).expect("a genuine file");
        assert_eq!(result.imgblobs.len(), pictures);
        assert_eq!(result.checkpoint_params["generator"], "lstm");
        // Its Python wrote 17 digits, ours the shortest: the numbers must be the same.
        let text = render_result_struct(&result).expect("finite numbers");
        let again = report::parse_result_struct(text.as_bytes(), Path::new(file));
        assert_eq!(again.expect("our own text"), result);
    }
}

#[test]
fn pages_are_the_originals_byte_for_byte() {
    let Some(shared) = shared() else { return };
    for file in result_files(&shared.join("oracle/nt1/predict")) {
        let html = file
            .to_string_lossy()
            .replace(".result_struct.json", ".result.html");
        let want = fs::read_to_string(&html).expect("a page");
        let result = read_result_struct(&file).expect("a genuine file");
        assert_eq!(render_html(&result), want, "{html}");
    }
}

#[test]
fn bleu_files_are_the_originals_byte_for_byte() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("oracle/nt1/eval");
    for file in result_files(&folder) {
        let result = read_result_struct(&file).expect("a genuine file");
        let files = bleu_files(&result).expect("references");
        assert_eq!(files.references.len(), 5);
        if file.to_string_lossy().contains("_m3") {
            continue; // three of the ten pictures; its text files were not kept
        }
        let output = file
            .to_string_lossy()
            .replace(".result_struct.json", ".output.txt");
        assert_eq!(
            files.output,
            fs::read_to_string(&output).expect("text"),
            "{output}"
        );
        for (k, text) in files.references.iter().enumerate() {
            let path = folder.join(format!("references/reference{k}"));
            assert_eq!(
                *text,
                fs::read_to_string(path).expect("text"),
                "reference{k}"
            );
        }
    }
}
