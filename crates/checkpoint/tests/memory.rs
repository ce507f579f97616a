//! Readers allocate no more than the file's size times their stated constant.
//!
//! The allocator counts; its peak is compared with the bound for honest, hostile and changed
//! files. One test only: others at the same time would be counted too.

mod fixtures;

use std::path::Path;

use checkpoint::legacy::{
    NEURALTALK_MEMORY_FACTOR, NeuralTalkCheckpoint, PICKLE_MEMORY_FACTOR, Pickle,
};
use checkpoint::{MEMORY_FACTOR, load_from};
use fixtures::{Random, bytes, resumable, shared};
use peak_alloc::PeakAlloc;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes allocated at the same time by `read`, as a multiple of the file's size after `allowance`.
fn factor(size: usize, allowance: usize, read: impl FnOnce()) -> f64 {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    read();
    let peak = ALLOCATOR.peak_usage() - before;
    peak.saturating_sub(allowance) as f64 / size as f64
}

fn safetensors(file: &[u8], what: &str) {
    let read = || drop(load_from(file, file.len() as u64, Path::new("m")));
    let found = factor(file.len(), 128 << 10, read);
    println!("safetensors, {what}: {found:.1}");
    assert!(found <= MEMORY_FACTOR as f64, "{what}: {found}");
}

fn pickle(file: &[u8], what: &str) {
    let found = factor(file.len(), 4 << 10, || drop(Pickle::parse(file)));
    println!("pickle, {what}: {found:.1}");
    assert!(found <= PICKLE_MEMORY_FACTOR as f64, "{what}: {found}");
    let read =
        || drop(NeuralTalkCheckpoint::parse(file, Path::new("m")).map(|c| c.into_checkpoint()));
    let found = factor(file.len(), 64 << 10, read);
    assert!(found <= NEURALTALK_MEMORY_FACTOR as f64, "{what}: {found}");
}

/// A safetensors file with this header and no tensors.
fn header(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn no_file_takes_more_than_its_share() {
    let n = 200_000;
    let good = bytes(&resumable());
    safetensors(&good, "ours");
    let entry = |key: &str, text: &str| {
        header(&json!({"__metadata__": {"format": "neuraltalk", "format_version": "1", "decoder": text, key: text}}).to_string())
    };
    let array = format!("[{}0]", "0,".repeat(n));
    let strings = format!("[{}\"\"]", "\"\",".repeat(n));
    let nested = format!("{}{}", "[".repeat(n), "]".repeat(n));
    let lists = format!("[{}[]]", "[],".repeat(n));
    let maps = format!("[{}{{}}]", "{},".repeat(n));
    let keys: Vec<String> = (0..n / 4).map(|i| format!("\"{i:x}\":{{}}")).collect();
    let keys = format!("{{{}}}", keys.join(","));
    for (what, text) in [
        ("numbers", &array),
        ("strings", &strings),
        ("nesting", &nested),
        ("lists", &lists),
        ("maps", &maps),
        ("keys", &keys),
    ] {
        safetensors(&header(text), what);
        safetensors(&header(&format!("{{\"a\":{text}}}")), what);
        safetensors(&header(&format!("{{\"__metadata__\":{text}}}")), what);
        safetensors(&entry("vocabulary", text), what);
        let decoder = r#"{"generator":"lstm","feature":1,"embedding":1,"hidden":1,"vocabulary":1,"tanh_c":true}"#;
        for key in ["vocabulary", "params", "word_counts", "scores", "training"] {
            let mut entries = json!({"format": "neuraltalk", "format_version": "1", "decoder": decoder, "vocabulary": "[\"\"]", "features": r#"{"name":"","dimension":1}"#, "dataset": "", "params": "{}", "iteration": "0", "epoch": "0", "scores": "{}"});
            entries[key] = match key {
                "params" => json!(format!("{{\"a\":{text}}}")),
                _ => json!(text),
            };
            safetensors(
                &header(&json!({"__metadata__": entries}).to_string()),
                &format!("{what} as {key}"),
            );
        }
    }
    safetensors(
        &[&(u64::MAX >> 1).to_le_bytes()[..], &good[8..]].concat(),
        "a lie",
    );

    let repeated: [(&str, &[u8]); 16] = [
        ("lists", b"]"),
        ("dictionaries", b"}"),
        ("sets", b"\x8f"),
        ("marks", b"("),
        ("none", b"N"),
        ("numbers", b"K\0"),
        ("strings", b"U\0"),
        ("texts", b"X\0\0\0\0"),
        ("escapes", b"S'\\\\'\n"),
        ("latin", b"V\xe9\n"),
        ("memo", b"\x94"),
        ("lists in the memo", b"]\x94"),
        ("tuples of one", b"\x85"),
        ("lists of one", b"]\x94h\0a"),
        ("dictionaries of one", b"}NNs"),
        ("frozen sets", b"(N\x91"),
    ];
    for (what, opcode) in repeated {
        // Just before, at and after a doubling of the vectors.
        for n in [1 << 16, (1 << 16) + 1, 100_000, (1 << 17) - 2] {
            let body = opcode.repeat(n);
            pickle(&[b"N", &body[..], b"."].concat(), what);
            pickle(&[b"](", &body[..], b"e."].concat(), what);
        }
    }
    pickle(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "a lie");
    let mut random = Random(7);
    for _ in 0..300 {
        safetensors(&random.mutate(&good), "changed");
    }
    if let Some(folder) = shared("oracle") {
        for name in [
            "pickle_format/mini_lstm_cpickle_p0.p",
            "pickle_format/modern_py3_numpy2_p5.p",
            "nt1/checkpoints/lstm_tanhC1.p",
            "nt1/checkpoints/lstm_tanhC1.p2",
        ] {
            let file = std::fs::read(folder.join(name)).expect(name);
            pickle(&file, name);
            for _ in 0..if file.len() < 100_000 { 300 } else { 3 } {
                pickle(&random.mutate(&file), "changed");
            }
        }
    }
}
