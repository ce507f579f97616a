//! What users get wrong and disks refuse: a clear message, the right exit code, nothing broken.

mod toy;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use train::{Control, Event, Generator, Options, Overrides, Solver, TrainError};

fn setup() -> (tempfile::TempDir, Options) {
    let folder = tempfile::tempdir().expect("folder");
    let data = toy::dataset(folder.path(), 9);
    let options = toy::options(&data, Solver::Adam, Generator::Lstm);
    (folder, options)
}

/// Trains, expecting an error with this exit code whose message has all of `parts`; there must be
/// no run folder for what fails before training.
fn refused(options: &Options, run: &Path, code: u8, parts: &[&str]) -> TrainError {
    let error = toy::train(options, run).expect_err("refused");
    let message = error.to_string();
    assert_eq!(error.exit_code(), code, "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(error.hint().is_some(), "no hint for: {message}");
    assert!(
        !run.join("config.toml").exists(),
        "a run was made: {message}"
    );
    error
}

fn edit_dataset(options: &Options, edit: impl Fn(&mut Value)) {
    let path = Path::new(&options.dataset).join("dataset.json");
    let mut json = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    edit(&mut json);
    fs::write(path, json.to_string()).expect("written");
}

#[test]
fn a_missing_split_is_named() {
    for (split, other) in [("val", "test"), ("train", "restval")] {
        let (folder, options) = setup();
        edit_dataset(&options, |json| {
            for image in json["images"].as_array_mut().expect("a list") {
                if image["split"] == split {
                    image["split"] = other.into();
                }
            }
        });
        refused(&options, &folder.path().join("run"), 3, &["`toy`", split]);
        if split == "train" {
            let options = Options {
                restval_as_train: true,
                ..options
            };
            toy::train(&options, &folder.path().join("run")).expect("restval counts as train");
        }
    }
}

#[test]
fn features_of_another_dataset_are_refused() {
    let (folder, mut options) = setup();
    let run = folder.path().join("run");
    let few = folder.path().join("few.npy");
    toy::features(&few, 10, toy::D);
    let good = options.features.replace(few);
    refused(
        &options,
        &run,
        3,
        &[
            "few.npy",
            "imgid 0 to 12",
            "10 columns",
            "3 pictures lack theirs",
        ],
    );

    // One column more than pictures: another dataset's, or rows for columns.
    let many = folder.path().join("many.npy");
    toy::features(&many, 14, toy::D);
    options.features = Some(many);
    let parts = ["many.npy", "14 columns", "only need 13"];
    refused(&options, &run, 3, &parts);
    let part = Options {
        allow_extra_features: true,
        ..options.clone()
    };
    toy::train(&part, &folder.path().join("part")).expect("a part of a larger dataset");

    options.features = good;
    toy::train(&options, &run).expect("trained");
    // A run that was begun goes on with them.
    let overrides = Overrides {
        features: Some(folder.path().join("many.npy")),
        ..Overrides::default()
    };
    train::resume(&run, &overrides, &mut |_| Control::Continue).expect("resumed");
    let wide = folder.path().join("wide.npy");
    toy::features(&wide, 13, 9);
    let overrides = Overrides {
        features: Some(wide.clone()),
        ..Overrides::default()
    };
    let error = train::resume(&run, &overrides, &mut |_| Control::Continue).expect_err("D differs");
    assert_eq!(error.exit_code(), 3);
    let message = error.to_string();
    assert!(
        message.contains("wide.npy") && message.contains('9') && message.contains('6'),
        "{message}"
    );
    options.features = Some(wide);
    options.init_model_from = Some(run.join("best.safetensors"));
    refused(
        &options,
        &folder.path().join("other"),
        3,
        &["wide.npy", "best.safetensors"],
    );
}

#[test]
fn features_that_are_no_numbers_are_bad_data_and_no_divergence() {
    // Of a training and of a validation picture.
    for picture in [4, 11] {
        let (folder, options) = setup();
        let file = options.features.clone().expect("named");
        let mut bytes = fs::read(&file).expect("read");
        let at = bytes.len() - 4 * ((13 - picture) * toy::D - 2);
        bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(&file, bytes).expect("written");
        let wanted = format!("number 2 of the picture with imgid {picture} is NaN");
        let parts = ["feats.npy", &wanted];
        refused(&options, &folder.path().join("run"), 3, &parts);
    }
}

#[test]
fn two_pictures_with_one_number_are_refused() {
    let (folder, options) = setup();
    edit_dataset(&options, |json| json["images"][3]["imgid"] = 1.into());
    let parts = ["`toy`", "imgid 1", "`1.jpg`", "`3.jpg`"];
    refused(&options, &folder.path().join("run"), 3, &parts);
}

#[test]
fn a_model_larger_than_memory_is_refused() {
    let (folder, options) = setup();
    let options = Options {
        hidden_size: 1 << 24,
        image_encoding_size: 1 << 24,
        word_encoding_size: 1 << 24,
        ..options
    };
    refused(&options, &folder.path().join("run"), 2, &["bytes to train"]);
}

#[test]
fn changed_data_is_noticed_on_resume() {
    let (folder, options) = setup();
    let run = folder.path().join("run");
    let mut sink = |event: &Event| match event {
        Event::Step { iteration: 3, .. } => Control::Stop,
        _ => Control::Continue,
    };
    train::start(&options, &run, &mut sink).expect("stopped");
    edit_dataset(&options, |json| {
        let sentences = json["images"][0]["sentences"]
            .as_array_mut()
            .expect("a list");
        sentences.pop();
    });
    let error = toy::resume(&run).expect_err("other data");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("training sentences"), "{error}");
}

#[test]
fn wrong_paths_and_folders() {
    let (folder, options) = setup();
    let run = folder.path().join("run");
    let absent = Options {
        dataset: folder.path().join("absent").to_string_lossy().into_owned(),
        ..options.clone()
    };
    refused(&absent, &run, 4, &["absent"]);
    let absent = Options {
        features: Some(folder.path().join("absent.npy")),
        ..options.clone()
    };
    refused(&absent, &run, 4, &["absent.npy"]);
    let absent = Options {
        init_model_from: Some(folder.path().join("absent.p")),
        ..options.clone()
    };
    let error = toy::train(&absent, &run).expect_err("no such checkpoint");
    assert_eq!(error.exit_code(), 4, "{error}");
    // A file where a folder must be.
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("written");
    let error = toy::train(&options, &file.join("run")).expect_err("not a folder");
    assert_eq!(error.exit_code(), 4, "{error}");

    let error = toy::resume(&run).expect_err("no run");
    assert!(matches!(error, TrainError::NoRun { .. }), "{error}");
    toy::train(&options, &run).expect("trained");
    let error = toy::train(&options, &run).expect_err("a run is there");
    assert!(
        matches!(error, TrainError::RunExists { .. }) && error.exit_code() == 2,
        "{error}"
    );
}

#[test]
fn nobody_trains_in_a_folder_in_use() {
    let (folder, options) = setup();
    let run = folder.path().join("run");
    let mut tried = false;
    train::start(&options, &run, &mut |event| {
        if !tried && matches!(event, Event::Step { .. }) {
            tried = true;
            let error = toy::resume(&run).expect_err("in use");
            assert!(matches!(error, TrainError::Locked { .. }), "{error}");
        }
        Control::Continue
    })
    .expect("trained");
    assert!(tried);
}

#[test]
fn a_damaged_checkpoint_is_an_error_with_its_place() {
    let (folder, options) = setup();
    let run = folder.path().join("run");
    toy::train(&options, &run).expect("trained");
    let last = run.join("last.safetensors");
    let bytes = fs::read(&last).expect("read");
    fs::write(&last, &bytes[..bytes.len() - 1]).expect("cut");
    let error = toy::resume(&run).expect_err("cut off");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("last.safetensors"), "{error}");
    // `best` has nothing to go on from.
    fs::copy(run.join("best.safetensors"), &last).expect("copied");
    let error = toy::resume(&run).expect_err("no training state");
    assert!(error.to_string().contains("no training state"), "{error}");
}

#[test]
fn a_read_only_folder_is_refused() {
    let (folder, options) = setup();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).expect("folder");
    let mut permissions = fs::metadata(&closed).expect("there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&closed, permissions).expect("closed");
    if fs::write(closed.join("probe"), "").is_ok() {
        println!("skipped: this user may write into read-only folders (root)");
        return;
    }
    refused(&options, &closed.join("run"), 4, &["closed"]);
}

/// A file system of `kib` KiB, unmounted when dropped; none if this user can't mount.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, kib: u32) -> Option<Self> {
        fs::create_dir_all(at).expect("folder");
        let size = format!("size={kib}k");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "none"])
            .arg(at)
            .output();
        match done {
            Ok(output) if output.status.success() => Some(Self(at)),
            _ => None,
        }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|s| s.success()), "unmounted");
    }
}

#[test]
fn a_full_disk_stops_the_run_and_a_little_space_lets_it_go_on() {
    let (folder, options) = setup();
    let straight = folder.path().join("straight");
    toy::train(&options, &straight).expect("trained");
    let disk = folder.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&disk, 160) else {
        println!("skipped: a small disk can't be mounted here (needs root)");
        return;
    };
    let run = disk.join("run");
    let ballast = disk.join("ballast");
    // Fills the disk after the first save, so that the next can't be written.
    let mut full = false;
    let error = train::start(&options, &run, &mut |event| {
        if matches!(event, Event::Saved { .. }) && !full {
            full = true;
            let filled = fs::write(&ballast, vec![0; 1 << 20]);
            assert!(filled.is_err(), "the disk is full");
        }
        Control::Continue
    })
    .expect_err("no space");
    assert!(full);
    assert_eq!(error.exit_code(), 4, "{error}");
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("space"), "{error}: {hint}");
    fs::remove_file(&ballast).expect("space");
    toy::resume(&run).expect("resumed");
    assert!(toy::checkpoints(&straight) == toy::checkpoints(&run));
    assert_eq!(toy::history(&straight), toy::history(&run));
}
