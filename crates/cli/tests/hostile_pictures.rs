//! Pictures from strangers: thousands of broken ones among good ones, and files that would fill the memory.
//!
//! Every file must be captioned or listed as failed, every good one captioned, and the program may use no more address
//! space than its limit. 400 mutants by default; `NEURALTALK_MUTANTS=10000` asks for more.

mod made;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Output};

use image::{DynamicImage, ImageFormat, RgbImage};

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A small picture in every format.
fn originals() -> Vec<(&'static str, Vec<u8>)> {
    let (width, height) = (61, 47);
    let mut random = Random(7);
    let pixels = (0..3 * width * height).map(|i| (i / 23 + random.below(40) as u32) as u8);
    let picture = RgbImage::from_raw(width, height, pixels.collect()).expect("bytes");
    let picture = DynamicImage::ImageRgb8(picture);
    let formats = [
        ("jpg", ImageFormat::Jpeg),
        ("png", ImageFormat::Png),
        ("gif", ImageFormat::Gif),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("tiff", ImageFormat::Tiff),
        ("ppm", ImageFormat::Pnm),
    ];
    let encode = |(ending, format)| {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).expect("encodes");
        (ending, bytes.into_inner())
    };
    formats.into_iter().map(encode).collect()
}

fn mutate(random: &mut Random, file: &[u8]) -> Vec<u8> {
    let mut out = file.to_vec();
    for _ in 0..=random.below(4) {
        if out.is_empty() {
            return out;
        }
        // Half of the changes where sizes and tables are.
        let most = if random.below(2) == 0 {
            out.len()
        } else {
            out.len().min(120)
        };
        let at = random.below(most);
        let end = (at + random.below(24)).min(out.len());
        match random.below(7) {
            0 => out[at] ^= 1 << random.below(8),
            1 => out[at] = [0, 1, 0x7f, 0x80, 0xff, 0xd8, 0xd9][random.below(7)],
            2 => drop(out.drain(at..end)),
            3 => out.truncate(at),
            4 => out.insert(at, random.below(256) as u8),
            5 => out[at..end].fill(0xff),
            _ => {
                let repeated = out[at..end].to_vec();
                out.splice(at..at, repeated);
            }
        }
    }
    out
}

/// A chunk of a PNG file.
fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let body = [&kind[..], data].concat();
    let crc = body.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (!(crc & 1)).wrapping_add(1))
        })
    });
    out.extend(body);
    out.extend((!crc).to_be_bytes());
}

/// A PNG of grey pixels with the compressed data `idat`.
fn grey_png(width: u32, height: u32, idat: &[u8]) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 0, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"IDAT", idat);
    chunk(&mut out, b"IEND", &[]);
    out
}

/// Zeros, compressed a thousandfold.
fn zeros(bytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![0u8; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len());
        encoder.write_all(&block[..now]).expect("memory");
        left -= now;
    }
    encoder.finish().expect("memory")
}

/// Small files that say they are large, or are.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let mut bmp = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend([0, 0, 0, 0x10, 0, 0, 0, 0x10, 1, 0, 24, 0]);
    bmp.extend([0; 24]);
    let mut gif = b"GIF89a\xff\xff\xff\xff\xf0\0\0".to_vec();
    gif.extend([0, 0, 0, 255, 255, 255]);
    gif.extend(b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0\x3b");
    vec![
        ("lie.png", grey_png(1 << 20, 1 << 20, &zeros(1000))),
        ("huge.png", grey_png(40_000, 40_000, &zeros(1000))),
        // 100 megapixels from 100 kB, and so many bytes more than the header says.
        ("flat.png", grey_png(10_000, 10_000, &zeros(100_010_000))),
        ("more.png", grey_png(64, 64, &zeros(100_000_000))),
        ("lie.bmp", bmp),
        ("lie.gif", gif),
        ("lie.ppm", b"P6 99999 99999 255\nxxx".to_vec()),
        ("lie.pgm", b"P5 4294967295 4294967295 65535\nxxx".to_vec()),
    ]
}

fn run(dir: &Path, words: &[&str]) -> Output {
    // Address space in KiB: room for the program, its threads' stacks and two pictures at the limit.
    let limited = "ulimit -v 1200000; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(limited)
        .arg(env!("CARGO_BIN_EXE_neuraltalk"));
    let ran = command.current_dir(dir).args(words).output();
    ran.expect("the program starts")
}

#[cfg(target_os = "linux")]
#[test]
fn every_file_is_captioned_or_listed_and_memory_stays_bounded() {
    let mutants: usize = match std::env::var("NEURALTALK_MUTANTS") {
        Ok(count) => count.parse().expect("a number"),
        Err(_) => 400,
    };
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = temporary.path();
    made::write_model(&dir.join("m.safetensors"), 1);
    fs::create_dir(dir.join("p")).expect("a folder");
    let originals = originals();
    let mut random = Random(20260611);
    let (mut good, mut bad) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..mutants {
        let (ending, bytes) = &originals[number % originals.len()];
        let name = format!("p/{number:05}.{ending}");
        fs::write(dir.join(&name), mutate(&mut random, bytes)).expect("written");
        if number % 20 == 0 {
            let name = format!("p/{number:05}-good.{ending}");
            fs::write(dir.join(&name), bytes).expect("written");
            good.insert(name);
        }
    }
    for (name, bytes) in bombs() {
        let name = format!("p/{name}");
        fs::write(dir.join(&name), bytes).expect("written");
        bad.insert(name);
    }
    let files: BTreeSet<String> = fs::read_dir(dir.join("p"))
        .expect("the folder")
        .map(|entry| {
            format!(
                "p/{}",
                entry.expect("an entry").file_name().to_string_lossy()
            )
        })
        .collect();
    let words = "caption p -c m.safetensors --threads 2 --max-memory 128 --failures failed.tsv";
    let ran = run(dir, &words.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&ran.stderr);
    let end = said.lines().rev().take(5).collect::<Vec<_>>();
    assert_eq!(ran.status.code(), Some(1), "{end:?}");
    let names = |text: &str| -> BTreeSet<String> {
        let all: Vec<&str> = text.lines().filter_map(|l| l.split('\t').next()).collect();
        let set: BTreeSet<String> = all.iter().map(|n| (*n).to_owned()).collect();
        assert_eq!(set.len(), all.len(), "each is named once");
        set
    };
    let captioned = names(&String::from_utf8_lossy(&ran.stdout));
    let failed = names(&fs::read_to_string(dir.join("failed.tsv")).expect("the list"));
    assert!(captioned.is_disjoint(&failed));
    assert_eq!(&captioned | &failed, files, "every file is accounted for");
    assert!(good.is_subset(&captioned), "{:?}", &good - &captioned);
    // A file of few pixels may hold more data than it needs; all else must have failed.
    bad.remove("p/more.png");
    assert!(bad.is_subset(&failed), "{:?}", &bad - &failed);
    println!("{} captioned, {} failed", captioned.len(), failed.len());
    assert!(mutants / 10 < failed.len(), "most mutants are broken");
}
