//! Feature files that real programs wrote: every variant holds the same numbers, broken ones are refused.

use std::path::{Path, PathBuf};

use data::Features;

/// The folder with reference files, or `None` with the reason printed.
fn shared(part: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("NEURALTALK_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join(part);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: `{}` is not there", path.display());
    None
}

/// Golden: numpy's `feats[:3, 0]`, `feats[:3, 59]` and the sum in f64 would be better still, but the plain file is
/// read by the simplest path there is (4 bytes, one after the other), so it serves as the oracle of the others.
fn plain(path: &Path, skip: usize, dimension: usize) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).expect("a readable file");
    let numbers: Vec<f32> = bytes[skip..]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect();
    numbers.chunks(dimension).map(<[f32]>::to_vec).collect()
}

#[test]
fn every_variant_of_the_same_features_reads_the_same() {
    let Some(folder) = shared("oracle/data/flickr8k") else {
        return;
    };
    let original = folder.join("vgg_feats.mat");
    // 983232 = 192 + 4096 * 60 * 4: the numbers are the file's last part.
    let want = plain(&original, 192, 4096);
    assert_eq!(want.len(), 60);
    let variants = [
        ("vgg_feats.mat", 60),
        ("feat_variants/vgg_feats_compressed.mat", 60),
        ("feat_variants/vgg_feats_double.mat", 60),
        ("feat_variants/vgg_feats_hdf5.mat", 60),
        ("feat_variants/vgg_feats_hdf5_contig.mat", 8),
        ("feat_variants/vgg_feats_hdf5_double.mat", 8),
        ("feat_variants/vgg_feats_multi.mat", 8),
        ("feat_variants/vgg_feats_v4.mat", 3),
    ];
    for (name, count) in variants {
        let features = Features::open(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(
            (features.dimension(), features.len()),
            (4096, count),
            "{name}"
        );
        for (imgid, want) in want.iter().enumerate().take(count) {
            assert_eq!(
                features.row(imgid as u32),
                Some(&want[..]),
                "{name}, picture {imgid}"
            );
        }
        assert_eq!(features.row(count as u32), None);
    }
}

#[test]
fn the_real_files_have_their_shapes() {
    let cases = [
        ("data/flickr8k/efficientnet_lite0_feats.mat", 1280, 8000),
        ("data/example_images/vgg_feats.mat", 4096, 16),
    ];
    for (name, dimension, count) in cases {
        let Some(path) = shared(name) else { continue };
        let features = Features::open(&path).expect("a real file");
        assert_eq!((features.dimension(), features.len()), (dimension, count));
        let last = features.row(count as u32 - 1).expect("the last picture");
        assert!(last.iter().all(|x| x.is_finite()) && last.iter().any(|&x| x != 0.0));
    }
}

#[test]
fn other_peoples_matlab_files_are_refused_clearly() {
    let Some(folder) = shared("data/legacy/mat") else {
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    for path in files {
        if path.extension().is_none_or(|e| e != "mat") {
            continue;
        }
        let error = Features::open(&path).expect_err("none of them has `feats`");
        println!("{error}");
        let text = error.to_string();
        assert!(
            text.contains("expected") && text.contains("found"),
            "{text}"
        );
    }
}

/// Files that h5py wrote have older structures (symbol tables, B-trees) than the ones made in `hostile.rs`.
#[test]
fn damaged_files_of_other_programs_do_not_panic() {
    use rand_chacha::rand_core::{Rng, SeedableRng};
    let Some(folder) = shared("oracle/data/flickr8k/feat_variants") else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let path = scratch.path().join("feats.mat");
    let mut refused = 0;
    for name in [
        "vgg_feats_hdf5_double.mat",
        "vgg_feats_hdf5_contig.mat",
        "vgg_feats_multi.mat",
    ] {
        let valid = std::fs::read(folder.join(name)).expect("a readable file");
        for seed in 0..300 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let mut bytes = valid.clone();
            for _ in 0..=random.next_u32() % 3 {
                // Indices lie in the first kilobytes; one change in four goes anywhere.
                let range = if random.next_u32() % 4 == 0 {
                    bytes.len()
                } else {
                    6144
                };
                let at = random.next_u32() as usize % range;
                match random.next_u32() % 3 {
                    0 => bytes[at] ^= 1 << (random.next_u32() % 8),
                    1 => bytes[at] = 0xFF,
                    _ => bytes[at / 8 * 8..at / 8 * 8 + 8].fill(random.next_u32() as u8),
                }
            }
            if seed % 10 == 0 {
                bytes.truncate(random.next_u32() as usize % bytes.len());
            }
            if path.exists() {
                std::fs::remove_file(&path).expect("a temporary file"); // quicker than overwriting
            }
            std::fs::write(&path, bytes).expect("a temporary file");
            if let Err(error) = Features::open(&path) {
                assert!(
                    error.to_string().contains("expected"),
                    "{name} {seed}: {error}"
                );
                refused += 1;
            }
        }
    }
    println!("{refused} of 900 refused");
    assert!(200 < refused, "the damage must hurt: {refused}");
}
