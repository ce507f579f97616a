//! ARCHITECTURE.md is true: its layer table is the dependency graph, its places exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md")
}

/// The words between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Cells of the rows of the table under `heading`, without its two head rows.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split(heading).nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|c| c.trim().to_owned())
            .collect()
    };
    lines.map(cells).collect()
}

/// Our own crates among the `[dependencies]` of a crate.
fn dependencies(krate: &str, crates: &BTreeSet<String>) -> BTreeSet<String> {
    let manifest =
        fs::read_to_string(root().join("crates").join(krate).join("Cargo.toml")).expect("manifest");
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or("");
    let section = section.split("\n[").next().unwrap_or("");
    let names = section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| crates.contains(*name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_layer_table_is_the_dependency_graph() {
    let rows = rows(&page(), "## Layers");
    let crates: Vec<String> = rows.iter().map(|row| quoted(&row[0]).remove(0)).collect();
    let all: BTreeSet<String> = crates.iter().cloned().collect();
    let folders = fs::read_dir(root().join("crates")).expect("crates");
    let on_disk: BTreeSet<String> = folders
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .filter(|name| {
            root()
                .join("crates")
                .join(name)
                .join("Cargo.toml")
                .is_file()
        })
        .collect();
    assert_eq!(
        all, on_disk,
        "crates in ARCHITECTURE.md (left) and on disk (right)"
    );
    for (i, row) in rows.iter().enumerate() {
        let stated: BTreeSet<String> = quoted(&row[2]).into_iter().collect();
        let above: BTreeSet<String> = crates[..i].iter().cloned().collect();
        assert!(
            stated.is_subset(&above),
            "`{}` may use only what stands above it",
            crates[i]
        );
        let real = dependencies(&crates[i], &all);
        assert_eq!(
            stated, real,
            "`{}`: ARCHITECTURE.md (left) and Cargo.toml (right)",
            crates[i]
        );
    }
}

#[test]
fn every_place_exists() {
    let rows = rows(&page(), "## Where is ...?");
    assert!(rows.len() > 15);
    for row in rows {
        for place in quoted(&row[1]) {
            assert!(root().join(&place).exists(), "{}: no `{place}`", row[0]);
        }
    }
}
