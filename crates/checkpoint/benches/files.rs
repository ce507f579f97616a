//! Reading a `.p`, saving and loading, at the size of NeuralTalk's released models
//! (D = 4096, E = H = 512, V = 2538: 5.5 million parameters, 44 MB as f64, 22 MB as f32).

use std::hint::black_box;
use std::path::Path;

use checkpoint::legacy::{Pickle, export_neuraltalk, read_neuraltalk};
use checkpoint::{Checkpoint, load, save};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use models::{DecoderConfig, LstmConfig};

#[path = "../tests/fixtures/mod.rs"]
mod fixtures;

fn model() -> Checkpoint {
    let mut checkpoint = fixtures::checkpoint(DecoderConfig::Lstm(LstmConfig {
        feature: 4096,
        embedding: 512,
        hidden: 512,
        vocabulary: 2538,
        tanh_c: false,
    }));
    checkpoint.word_counts = None;
    checkpoint
}

fn files(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = model();
    let ours = folder.path().join("model.safetensors");
    let theirs = folder.path().join("model.p");
    save(&checkpoint, &ours).expect("saved");
    export_neuraltalk(&checkpoint, &theirs).expect("exported");
    assert_eq!(load(&ours).expect("loaded"), checkpoint);
    let imported = read_neuraltalk(&theirs).expect("read").into_checkpoint();
    assert_eq!(imported.weights, checkpoint.weights);

    let size = |path: &Path| Throughput::Bytes(std::fs::metadata(path).expect("a file").len());
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(10);
    group.throughput(size(&ours));
    group.bench_function("save", |b| {
        b.iter(|| save(&checkpoint, &ours).expect("saved"))
    });
    group.bench_function("load", |b| {
        b.iter(|| load(black_box(&ours)).expect("loaded"))
    });
    group.throughput(size(&theirs));
    group.bench_function("read_neuraltalk", |b| {
        b.iter(|| {
            read_neuraltalk(black_box(&theirs))
                .expect("read")
                .into_checkpoint()
        })
    });
    group.bench_function("export_neuraltalk", |b| {
        b.iter(|| export_neuraltalk(&checkpoint, &theirs).expect("exported"))
    });
    // Protocol 0 spells every byte of an array: the parser's slow path.
    let text = [b"S'", &b"\\x00\\x00\\x80?".repeat(1 << 20)[..], b"'\n."].concat();
    let parsed = Pickle::parse(&text).expect("a string");
    assert_eq!(parsed.root().as_bytes().map(<[u8]>::len), Some(4 << 20));
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("protocol 0 string", |b| {
        b.iter(|| drop(Pickle::parse(black_box(&text)).expect("a string")))
    });
    group.finish();
}

criterion_group!(benches, files);
criterion_main!(benches);
