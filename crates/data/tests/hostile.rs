//! Broken files of every kind: an error or a valid value, no panic, and memory within a stated multiple of the file.
//!
//! Every prefix of a valid file, and 1,000 seeded mutations of it. The valid files are made here, small.
//! The limit of each kind is the one that the reader's header states, with 256 KiB for buffers.

use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data::check::{CheckOptions, check};
use data::{Dataset, Features, SplitRule};
use hdf5_writer::{
    DatasetBuilder, FILTER_DEFLATE, FilterDescription, Hdf5Builder, Hdf5Writer, WriteOptions,
};
use peak_alloc::PeakAlloc;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The peak is the whole process's, so one test at a time, from its first line: making the files allocates, too.
static ALONE: Mutex<()> = Mutex::new(());
/// Blocks, buffers, messages, and what the test harness needs in between.
const SLACK: usize = 256 * 1024;
const MUTATIONS: u64 = 1000;

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that `work` needed at its peak beyond what there was.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

/// One change: a flipped bit, an extreme byte or number, bytes lost, doubled or cut off.
fn mutate(valid: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    let mut below = |n: usize| (random.next_u64() % n.max(1) as u64) as usize;
    for _ in 0..=below(3) {
        let at = below(bytes.len());
        let kind = below(8);
        match kind {
            0 => bytes[at] ^= 1 << below(8),
            1 => bytes[at] = [0, 0xFF, 0x7F, 0x80][below(4)],
            2 | 3 => {
                let extreme = [0, 1, u32::MAX, i32::MAX as u32, 1 << 20][below(5)];
                let number = if kind == 2 {
                    extreme.to_le_bytes()
                } else {
                    extreme.to_be_bytes()
                };
                let aligned = at / 4 * 4;
                for (byte, new) in bytes[aligned..].iter_mut().zip(number) {
                    *byte = new;
                }
            }
            4 => drop(bytes.drain(at..(at + 1 + below(16)).min(bytes.len()))),
            5 => {
                let part = bytes[at..(at + 1 + below(16)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            6 => bytes[at] = b"{}[],:\"\\0-9.ent\n\t#"[below(18)],
            _ => bytes.truncate(at.max(1)),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

/// Reads all prefixes and mutations; `read` gives the error's text or nothing.
fn attack(
    kind: &str,
    valid: &[u8],
    multiple: usize,
    read: impl Fn(&[u8]) -> Result<(), String> + std::panic::RefUnwindSafe,
) {
    read(valid).unwrap_or_else(|e| panic!("{kind}: the valid file is refused: {e}"));
    let (mut refused, mut worst) = (0, 0.0f64);
    let mut one = |bytes: &[u8], what: &str| {
        let (result, peak) = peak(|| catch_unwind(|| read(bytes)));
        let limit = bytes.len() * multiple + SLACK;
        worst = worst.max(peak.saturating_sub(SLACK) as f64 / bytes.len().max(1) as f64);
        assert!(
            peak <= limit,
            "{kind}, {what}: {peak} bytes for a file of {}",
            bytes.len()
        );
        match result {
            Err(_) => panic!("{kind}, {what}: panicked; file {bytes:?}"),
            Ok(Err(text)) => {
                refused += 1;
                assert!(
                    text.contains('`') && text.len() < 3000,
                    "{kind}, {what}: `{text}`"
                );
            }
            Ok(Ok(())) => {}
        }
    };
    // Every prefix of small files; of large ones all short ones and a stride through the rest.
    let stride = (valid.len() / 2000).max(1);
    for length in (0..valid.len()).filter(|&n| n < 1000 || n % stride == 0) {
        one(&valid[..length], &format!("prefix {length}"));
    }
    for seed in 0..MUTATIONS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        one(&mutate(valid, &mut random), &format!("mutation {seed}"));
    }
    println!("{kind}: {refused} refused, worst multiple {worst:.1}");
    assert!(refused > 100, "{kind}: the attack must hurt");
}

fn attack_features(kind: &str, valid: &[u8], multiple: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("feats");
    attack(kind, valid, multiple, |bytes| {
        // Removed, not overwritten: some file systems write to the disk at once when a file is cut to nothing and filled again.
        if path.exists() {
            std::fs::remove_file(&path).expect("a temporary file");
        }
        std::fs::write(&path, bytes).expect("a temporary file");
        let features = Features::open(&path).map_err(|e| {
            e.hint();
            e.to_string()
        })?;
        // Reading every row touches all that was promised.
        let sum: f64 = (0..features.len() as u32)
            .map(|id| f64::from(features.row(id).expect("a row")[features.dimension() - 1]))
            .sum();
        std::hint::black_box(sum);
        Ok(())
    });
}

fn attack_dataset(name: &str, valid: &str, multiple: usize) {
    // The check walks through everything that was read.
    attack(name, valid.as_bytes(), multiple, |bytes| {
        let read = Dataset::parse(bytes.to_vec(), Path::new(name), SplitRule::default());
        let dataset = read.map_err(|e| {
            e.hint();
            e.to_string()
        })?;
        std::hint::black_box(dataset.images.len());
        Ok(())
    });
    let dataset = Dataset::parse(valid.into(), Path::new(name), SplitRule::default());
    check(&dataset.expect("valid"), None, &CheckOptions::default());
}

// ---- Files, made by hand ----

/// (D, N) = (3, 5): numbers 0.5, 1.5, ...
fn numbers() -> Vec<f32> {
    (0..15).map(|n| n as f32 + 0.5).collect()
}

fn bytes_of<T, const N: usize>(numbers: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    numbers.iter().flat_map(bytes).collect()
}

fn mat4(name: &str, rows: u32, columns: u32, data: &[f32], big_endian: bool) -> Vec<u8> {
    let word = |x: u32| {
        if big_endian {
            x.to_be_bytes()
        } else {
            x.to_le_bytes()
        }
    };
    let mut file = Vec::new();
    let kind = if big_endian { 1010 } else { 10 };
    for field in [kind, rows, columns, 0, name.len() as u32 + 1] {
        file.extend(word(field));
    }
    file.extend(name.as_bytes());
    file.push(0);
    file.extend(bytes_of(data, |x| word(x.to_bits())));
    file
}

/// The element of a version 5 matrix.
fn mat5_matrix(
    name: &str,
    sizes: &[u32],
    class: u32,
    kind: u32,
    data: &[u8],
    big_endian: bool,
) -> Vec<u8> {
    let word = |x: u32| {
        if big_endian {
            x.to_be_bytes()
        } else {
            x.to_le_bytes()
        }
    };
    let mut inside = Vec::new();
    let mut element = |kind: u32, data: &[u8]| {
        inside.extend(word(kind));
        inside.extend(word(data.len() as u32));
        inside.extend(data);
        inside.resize(inside.len().next_multiple_of(8), 0);
    };
    element(6, &[word(class), word(0)].concat());
    element(5, &bytes_of(sizes, |&x| word(x)));
    element(1, name.as_bytes());
    element(kind, data);
    let mut matrix = [word(14), word(inside.len() as u32)].concat();
    matrix.extend(inside);
    matrix
}

fn mat5_header(big_endian: bool) -> Vec<u8> {
    let mut file = format!("{:116}", "MATLAB 5.0 MAT-file, made by a test").into_bytes();
    file.extend([0; 8]);
    file.extend(if big_endian {
        *b"\x01\x00MI"
    } else {
        *b"\x00\x01IM"
    });
    file
}

fn mat5(big_endian: bool) -> Vec<u8> {
    let mut file = mat5_header(big_endian);
    file.extend(mat5_matrix("other", &[1, 2], 9, 2, &[1, 2], big_endian));
    let word = |x: &f32| {
        if big_endian {
            x.to_be_bytes()
        } else {
            x.to_le_bytes()
        }
    };
    file.extend(mat5_matrix(
        "feats",
        &[3, 5],
        7,
        7,
        &bytes_of(&numbers(), word),
        big_endian,
    ));
    file
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn mat5_compressed(matrix: &[u8]) -> Vec<u8> {
    let mut file = mat5_header(false);
    let packed = deflate(matrix);
    file.extend(15u32.to_le_bytes());
    file.extend((packed.len() as u32).to_le_bytes());
    file.extend(packed);
    file
}

fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let header = format!("{header:117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// HDF5 with (N, D) rows, contiguous or in compressed chunks of `chunk` rows.
fn hdf5(name: &str, rows: &[f32], count: u64, chunk: Option<u64>) -> Vec<u8> {
    let dimension = rows.len() as u64 / count;
    let mut dataset = DatasetBuilder::typed_data(name, vec![count, dimension], rows).expect("rows");
    if let Some(chunk) = chunk {
        let deflate = FilterDescription {
            id: FILTER_DEFLATE,
            name: None,
            client_data: vec![3],
        };
        dataset = dataset.chunked(vec![chunk, dimension]).filter(deflate);
    }
    let plan = Hdf5Builder::new()
        .dataset(dataset)
        .into_plan()
        .expect("a plan");
    let sink = std::io::Cursor::new(Vec::new());
    let written = Hdf5Writer::new(sink, WriteOptions::default()).finish(plan);
    written.expect("memory").into_inner()
}

// ---- The valid ones are read right ----

fn read(file: &[u8]) -> Features {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("feats");
    std::fs::write(&path, file).expect("a temporary file");
    Features::open(&path).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_kind_of_file_holds_the_same_numbers() {
    let _alone = alone();
    let little = bytes_of(&numbers(), |x| x.to_le_bytes());
    let double = bytes_of(&numbers(), |&x| f64::from(x).to_le_bytes());
    let big = bytes_of(&numbers(), |x| x.to_be_bytes());
    // 0.5 .. 14.5 are exact in both halves.
    let f16 = bytes_of(&numbers(), |&x| half::f16::from_f32(x).to_le_bytes());
    let bf16 = bytes_of(&numbers(), |&x| half::bf16::from_f32(x).to_le_bytes());
    // Column after column of the (5, 3) matrix.
    let columns: Vec<f32> = (0..3)
        .flat_map(|c| (0..5).map(move |r| (r * 3 + c) as f32 + 0.5))
        .collect();
    let fortran = bytes_of(&columns, |&x| f64::from(x).to_le_bytes());
    let header = |dtype: &str, bytes: usize| {
        format!(
            r#"{{"a":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}},"feats":{{"dtype":"{dtype}","shape":[5,3],"data_offsets":[1,{}]}}}}"#,
            bytes + 1
        )
    };
    let only = r#"{"x":{"dtype":"F32","shape":[5,3],"data_offsets":[0,60]}}  "#;
    let two =
        |dtype: &str, data: &[u8]| safetensors(&header(dtype, data.len()), &[&[7], data].concat());
    let mut doubled_v4 = mat4("first", 1, 1, &[9.0], false);
    doubled_v4.extend(mat4("feats", 3, 5, &numbers(), false));
    let double_matrix = mat5_matrix("feats", &[3, 5, 1], 6, 9, &double, false);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("mat4", mat4("feats", 3, 5, &numbers(), false)),
        ("mat4 big endian", mat4("feats", 3, 5, &numbers(), true)),
        ("mat4, second variable", doubled_v4),
        ("mat5", mat5(false)),
        ("mat5 big endian", mat5(true)),
        ("mat5 compressed double", mat5_compressed(&double_matrix)),
        ("hdf5", hdf5("feats", &numbers(), 5, None)),
        ("hdf5 in chunks", hdf5("feats", &numbers(), 5, Some(2))),
        ("npy f4", npy("<f4", "False", "(5, 3)", &little)),
        ("npy f8", npy("<f8", "False", "(5, 3)", &double)),
        ("npy f2", npy("<f2", "False", "(5, 3)", &f16)),
        ("npy big endian", npy(">f4", "False", "(5, 3)", &big)),
        ("npy fortran", npy("<f8", "True", "(5, 3)", &fortran)),
        ("safetensors", safetensors(only, &little)),
        ("safetensors, odd offset", two("F32", &little)),
        ("safetensors F64", two("F64", &double)),
        ("safetensors F16", two("F16", &f16)),
        ("safetensors BF16", two("BF16", &bf16)),
    ];
    for (kind, file) in cases {
        let features = read(&file);
        assert_eq!((features.dimension(), features.len()), (3, 5), "{kind}");
        for id in 0..5 {
            let want = &numbers()[3 * id..3 * id + 3];
            assert_eq!(features.row(id as u32), Some(want), "{kind}");
        }
        assert_eq!(features.row(5), None, "{kind}");
    }
    // MATLAB stores a double matrix of small integers as bytes, here even inside the tag.
    let mut file = mat5_header(false);
    let mut matrix = mat5_matrix("feats", &[1, 3], 6, 2, &[7, 8, 9], false);
    let at = matrix.len() - 16;
    matrix.truncate(at);
    matrix.extend([2, 0, 3, 0, 7, 8, 9, 0]);
    matrix[4..8].copy_from_slice(&((at + 8 - 8) as u32).to_le_bytes());
    file.extend(matrix);
    let features = read(&file);
    assert_eq!((features.len(), features.row(2)), (3, Some(&[9.0][..])));
}

/// Larger than one block of 4 MiB, with chunks that do not divide the rows.
#[test]
fn a_matrix_of_several_blocks_is_read_whole() {
    let _alone = alone();
    let many: Vec<f32> = (0..2_503 * 1000).map(|n| (n % 8191) as f32).collect();
    for chunk in [None, Some(7)] {
        let features = read(&hdf5("feats", &many, 2503, chunk));
        assert_eq!((features.dimension(), features.len()), (1000, 2503));
        for (imgid, want) in many.chunks(1000).enumerate() {
            let got = features.row(imgid as u32);
            assert!(got == Some(want), "{chunk:?}, picture {imgid}");
        }
    }
}

#[test]
fn matlab_7_3_has_a_block_before_hdf5() {
    let _alone = alone();
    let mut hdf5 = hdf5("feats", &numbers(), 5, Some(2));
    // Superblock version 2: base address at 12, its checksum at 44.
    hdf5[12..20].copy_from_slice(&512u64.to_le_bytes());
    let checksum = hdf5_writer::jenkins_lookup3(&hdf5[..44]);
    hdf5[44..48].copy_from_slice(&checksum.to_le_bytes());
    let mut file = format!("{:116}", "MATLAB 7.3 MAT-file").into_bytes();
    file.extend(*b"\0\0\0\0\0\0\0\0\x00\x02IM");
    file.resize(512, 0);
    file.extend(hdf5);
    assert_eq!(read(&file).row(4), Some(&[12.5, 13.5, 14.5][..]));
    attack_features("mat73", &file, 4 * 1100);
}

// ---- The attacks ----

#[test]
fn broken_mat4() {
    let _alone = alone();
    attack_features("mat4", &mat4("feats", 3, 5, &numbers(), false), 4);
}

#[test]
fn broken_mat5() {
    let _alone = alone();
    attack_features("mat5", &mat5(false), 4);
    attack_features("mat5 big endian", &mat5(true), 4);
}

#[test]
fn broken_mat5_compressed() {
    let _alone = alone();
    // 16 times the file at once, then twice what was inflated, 1032 times at most.
    let matrix = mat5_matrix(
        "feats",
        &[3, 5],
        7,
        7,
        &bytes_of(&numbers(), |x| x.to_le_bytes()),
        false,
    );
    attack_features("mat5 compressed", &mat5_compressed(&matrix), 2 * 1032);
}

#[test]
fn broken_hdf5() {
    let _alone = alone();
    attack_features("hdf5", &hdf5("feats", &numbers(), 5, None), 4 * 1100);
    let many: Vec<f32> = (0..600).map(|n| (n % 7) as f32).collect();
    attack_features(
        "hdf5 in chunks",
        &hdf5("feats", &many, 50, Some(8)),
        4 * 1100,
    );
}

#[test]
fn broken_npy() {
    let _alone = alone();
    let data = bytes_of(&numbers(), |x| x.to_le_bytes());
    attack_features("npy", &npy("<f4", "False", "(5, 3)", &data), 2);
    let data = bytes_of(&numbers(), |&x| f64::from(x).to_le_bytes());
    attack_features("npy fortran", &npy("<f8", "True", "(5, 3)", &data), 2);
}

#[test]
fn broken_safetensors() {
    let _alone = alone();
    let header = r#"{"feats":{"dtype":"F32","shape":[5,3],"data_offsets":[0,60]}}"#;
    let data = bytes_of(&numbers(), |x| x.to_le_bytes());
    attack_features("safetensors", &safetensors(header, &data), 18);
}

const NEURALTALK: &str = r#"{"images": [{"sentids": [0, 1], "imgid": 0, "sentences": [{"tokens": ["a", "caf\u00e9"], "raw": "A caf\u00e9.",
    "imgid": 0, "sentid": 0}, {"tokens": [], "raw": "", "imgid": 0, "sentid": 1}], "split": "train", "filename": "a.jpg"},
    {"filepath": "val", "sentids": [], "imgid": 1, "sentences": [], "split": "restval", "filename": "b.jpg"}], "dataset": "d"}"#;

#[test]
fn broken_datasets() {
    let _alone = alone();
    attack_dataset("neuraltalk.json", NEURALTALK, 64);
    let list = r#"[{"file_path": "a.jpg", "captions": ["A dog\n runs.", "Two"], "id": 1, "split": "train"}, {"file_path": "b", "captions": []}]"#;
    attack_dataset("neuraltalk2.json", list, 128);
    let coco = r#"{"images": [{"id": 7, "file_name": "a.jpg"}], "annotations": [{"image_id": 7, "id": 1, "caption": "A dog."}]}"#;
    attack_dataset("coco.json", coco, 128);
    let tokens = "a.jpg#0\tA dog runs .\na.jpg#1\tTwo dogs\nb.jpg#0\tThe T-shirt isn't caf\u{e9}\n";
    attack_dataset("flickr.token.txt", tokens, 128);
    let csv = "image,caption,split\na.jpg,\"A \"\"dog\"\" runs.\",train\nb.jpg,Two,val\nc.jpg,caf\u{e9},\n";
    attack_dataset("captions.csv", csv, 256);
    let jsonl = "{\"image\": \"a.jpg\", \"caption\": \"A dog\", \"split\": \"train\"}\n{\"image\": \"b\", \"caption\": \"caf\u{e9}\"}\n";
    attack_dataset("captions.jsonl", jsonl, 256);
}

/// What each form can do at its worst: the shortest text that makes the most records.
#[test]
fn the_stated_multiples_hold_for_the_worst_files() {
    let _alone = alone();
    let repeat = |one: &str, n: usize| vec![one; n].join(",");
    let sentence = r#"{"tokens":[],"sentid":0}"#;
    let image = r#"{"filename":"","imgid":0,"split":"val","sentences":[]}"#;
    let words = format!(
        r#"{{"images":[{{"filename":"","imgid":0,"split":"val","sentences":[{{"sentid":0,"tokens":[{}]}}]}}]}}"#,
        repeat(r#""""#, 200_000)
    );
    let cases = [
        ("words.json", words, 64),
        (
            "sentences.json",
            format!(
                r#"{{"images":[{{"filename":"","imgid":0,"split":"val","sentences":[{}]}}]}}"#,
                repeat(sentence, 20_000)
            ),
            64,
        ),
        (
            "images.json",
            format!(r#"{{"images":[{}]}}"#, repeat(image, 20_000)),
            64,
        ),
        (
            "list.json",
            format!(
                r#"[{{"file_path":"a","captions":[{}]}}]"#,
                repeat(r#""a""#, 100_000)
            ),
            128,
        ),
        (
            "short words.json",
            format!(
                r#"[{{"file_path":"a","captions":["{}"]}}]"#,
                "a ".repeat(500_000)
            ),
            128,
        ),
        (
            "coco.json",
            format!(
                r#"{{"images":[{{"id":1,"file_name":"a"}}],"annotations":[{}]}}"#,
                repeat(r#"{"image_id":1,"caption":"a"}"#, 20_000)
            ),
            128,
        ),
        ("x.token", "a#\ta\n".repeat(100_000), 128),
        (
            "different.token",
            (0..100_000).map(|n| format!("{n}#\ta\n")).collect(),
            128,
        ),
        (
            "one.csv",
            format!("image,caption\n{}", "a,b\n".repeat(100_000)),
            256,
        ),
        (
            "different.csv",
            format!(
                "image,caption\n{}",
                (0..100_000)
                    .map(|n| format!("{n:x},b\n"))
                    .collect::<String>()
            ),
            256,
        ),
    ];
    for (name, text, multiple) in cases {
        let length = text.len();
        let (dataset, peak) =
            peak(|| Dataset::parse(text.into_bytes(), Path::new(name), SplitRule::default()));
        assert!(dataset.is_ok(), "{name}: {dataset:?}");
        println!("{name}: {:.1} times", peak as f64 / length as f64);
        assert!(
            peak <= multiple * length,
            "{name}: {peak} bytes for {length}"
        );
    }
}

/// Headers that promise gigabytes in files of a few hundred bytes.
#[test]
fn a_lying_header_allocates_nothing() {
    let _alone = alone();
    let mut compressed = mat5_matrix("feats", &[1 << 14, 1 << 14], 7, 7, &[0; 64], false);
    let at = compressed.len() - 64 - 4;
    compressed[at..at + 4].copy_from_slice(&(1u32 << 30).to_le_bytes());
    // The same with all its lengths in agreement, which only compression can hide from the file's size.
    let mut agreeing = compressed.clone();
    agreeing[4..8].copy_from_slice(&((1u32 << 30) + 4096).to_le_bytes());
    let zeros = mat5_matrix("feats", &[1 << 10, 1 << 10], 7, 7, &vec![0; 1 << 22], false);
    let bomb = mat5_compressed(&zeros);
    let cases = [
        (
            "mat4",
            mat4("feats", u32::MAX, u32::MAX, &numbers(), false),
            4,
        ),
        (
            "mat5",
            {
                let mut f = mat5_header(false);
                f.extend(&compressed);
                f
            },
            4,
        ),
        ("mat5 compressed", mat5_compressed(&compressed), 2 * 1032),
        (
            "mat5 compressed, agreeing",
            mat5_compressed(&agreeing),
            2 * 1032,
        ),
        (
            "npy",
            npy("<f8", "True", "(4611686018427387904, 4)", &[0; 64]),
            2,
        ),
        (
            "npy, product",
            npy("<f4", "False", "(1000000000, 3)", &[0; 64]),
            2,
        ),
        (
            "safetensors",
            safetensors(
                r#"{"feats":{"dtype":"F32","shape":[1000000000,3],"data_offsets":[0,12000000000]}}"#,
                &[0; 64],
            ),
            18,
        ),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("feats");
    for (kind, file, multiple) in cases {
        std::fs::write(&path, &file).expect("a temporary file");
        let (result, peak) = peak(|| Features::open(&path).map(|f| f.len()));
        let error = result.expect_err(kind).to_string();
        assert!(error.contains("expected"), "{kind}: {error}");
        assert!(peak <= multiple * file.len() + SLACK, "{kind}: {peak}");
    }
    // A real bomb, 4 MiB of zeros in some 4 KiB, is read, within the stated bound.
    std::fs::write(&path, &bomb).expect("a temporary file");
    let (features, peak) = peak(|| Features::open(&path).expect("valid"));
    assert_eq!(features.len(), 1 << 10);
    assert!(
        peak <= 2 * 1032 * bomb.len() + SLACK,
        "{peak} for {}",
        bomb.len()
    );
    println!("bomb: {:.0} times", peak as f64 / bomb.len() as f64);
}
