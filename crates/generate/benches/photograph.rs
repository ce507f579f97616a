//! One photograph, from JPEG bytes to a sentence, with the bundled model warm. The answer is checked before anything is
//! timed: alone it is what it is among others.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use generate::{Captioner, Options, Source};
use tensor::Device;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn photograph(c: &mut Criterion) {
    let model = format!("{ROOT}/models/flickr8k.safetensors");
    let captioner = Captioner::load(model, &Device::cpu(0)).expect("the bundled model");
    let options = Options::default();
    let photographs = ["cat", "astronaut"].map(|name| {
        let path = format!("{ROOT}/examples/{name}.jpg");
        (name, std::fs::read(path).expect("an example"))
    });
    let sources: Vec<Source<'_>> = photographs
        .iter()
        .map(|(_, bytes)| Source::Bytes(bytes))
        .collect();
    let together = captioner
        .caption_all(&sources, &options)
        .expect("good options");
    for ((name, bytes), together) in photographs.iter().zip(together) {
        let alone = || captioner.caption(Source::Bytes(bytes), &options);
        let text = &alone().expect("a caption")[0].text;
        assert_eq!(*text, together.expect("a caption")[0].text);
        println!("{name}: {text}");
        c.bench_function(&format!("photograph/{name}"), |b| {
            b.iter(|| black_box(alone()));
        });
    }
}

criterion_group!(benches, photograph);
criterion_main!(benches);
