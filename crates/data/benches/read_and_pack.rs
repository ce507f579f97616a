//! Reading Flickr8k's captions and features, building its vocabulary, and packing batches.
//!
//! `cargo bench -p neuraltalk-data`; needs the reference files (see `NEURALTALK_SHARED`), else only packing is measured.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use data::{Batch, Dataset, Encoded, Features, Packed, Sampler, Sampling, Split, Vocabulary};

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

fn packing(c: &mut Criterion) {
    let sentences: Vec<Vec<u32>> = (0..100)
        .map(|n| vec![1 + n % 50; (20 - n / 8) as usize])
        .collect();
    let packed = Packed::new(&sentences);
    // A benchmark of a wrong answer is worthless.
    let rows: usize = sentences.iter().map(|s| s.len() + 1).sum();
    assert_eq!((packed.rows(), packed.steps()), (rows, 21));
    c.bench_function("pack 100 sentences of 8 to 20 words", |b| {
        b.iter(|| Packed::new(black_box(&sentences)));
    });
}

fn flickr8k(c: &mut Criterion) {
    let Some(folder) = shared("data/flickr8k") else {
        return;
    };
    let mut group = c.benchmark_group("flickr8k");
    group.sample_size(10);
    let json = folder.join("dataset.json");
    let bytes = std::fs::metadata(&json).expect("dataset.json").len();
    let dataset = Dataset::open(&json).expect("dataset.json");
    assert_eq!(dataset.captions(Split::Train).count(), 30_000);
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("dataset.json", |b| {
        b.iter(|| Dataset::open(black_box(&json)))
    });

    let mat = folder.join("efficientnet_lite0_feats.mat");
    let features = Features::open(&mat).expect("features");
    assert_eq!((features.dimension(), features.len()), (1280, 8000));
    group.throughput(Throughput::Bytes(1280 * 8000 * 4));
    group.bench_function("features, MAT v5 compressed", |b| {
        b.iter(|| Features::open(black_box(&mat)));
    });
    group.throughput(Throughput::Elements(30_000));
    let build =
        || Vocabulary::from_captions(dataset.captions(Split::Train).map(|(_, c)| &c.tokens), 5);
    let vocabulary = build();
    assert_eq!(vocabulary.len(), 2536);
    group.bench_function("vocabulary", |b| b.iter(build));

    let encoded = Encoded::new(&dataset, &vocabulary, &[Split::Train]);
    let sampling = Sampling::Sentences { batch_size: 100 };
    let mut sampler = Sampler::new(&encoded.sentence_counts(), sampling, 1).expect("sentences");
    let mut iteration = 0;
    group.throughput(Throughput::Elements(100));
    group.bench_function("next batch of 100, sampled and packed", |b| {
        b.iter(|| {
            let picks = sampler.batch_at(iteration);
            iteration += 1;
            let batch = Batch::new(&encoded, &features, &picks).expect("all vectors");
            assert_eq!(batch.sentences.len(), 100);
            batch.packed()
        });
    });
}

criterion_group!(benches, packing, flickr8k);
criterion_main!(benches);
