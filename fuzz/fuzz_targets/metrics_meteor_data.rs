//! METEOR's data files from any bytes: an error with a hint, or data that score.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use metrics::meteor::Meteor;

/// Which file has the bytes; the others are good.
const FILES: [(&str, &str); 4] = [
    ("function/english.words", "a\nthe\n"),
    ("nonbreaking/english.prefixes", "Mr\nNo #NUMERIC_ONLY#\n"),
    ("synonym/english.exceptions", "man\nmen\n"),
    ("synonym/english.synsets", "man\n1 2\nguy\n2\n"),
];

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fuzz_target!(|input: (u8, &[u8])| {
    let (which, bytes) = input;
    let folder = tempfile::tempdir().expect("folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        std::fs::write(path, bytes).expect("file");
    };
    let which = usize::from(which % 7);
    // 0 to 3: a small file; 4: the table, packed; 5: the gzip file; 6: the jar.
    for (i, (name, text)) in FILES.iter().enumerate() {
        if which != 6 {
            write(name, if i == which { bytes } else { text.as_bytes() });
        }
    }
    let table = match which {
        4 => gzip(bytes),
        5 => bytes.to_vec(),
        _ => gzip(b"0.5\nis running\nruns\n"),
    };
    write("data/paraphrase-en.gz", &table);
    if which == 6 {
        write("meteor-1.5.jar", bytes);
    }
    match Meteor::open(Some(folder.path())) {
        Ok(meteor) => drop(meteor.statistics("the men runs. Mr. 7", &["a guy is running", ""])),
        Err(error) => assert!(error.hint().is_some() && !error.to_string().is_empty()),
    }
});
