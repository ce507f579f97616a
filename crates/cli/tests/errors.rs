//! Bad days: what is printed, and with which exit code.

mod program;

use std::fs;
use std::path::Path;

use program::{Ran, run_in};

/// Snapshots with the folder and system messages that differ between machines cut out.
fn check(name: &str, ran: Ran, dir: &Path) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let text = ran.all().replace(&dir.display().to_string(), "[DIR]");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A training of a moment.
const SMALL: &str = "--hidden-size 8 --image-encoding-size 8 --word-encoding-size 8 -m 1 -q";

fn demo_data(dir: &Path) {
    run_in(dir, "demo-data shapes --images 40").ok();
}

#[test]
fn wrong_command_lines_are_exit_code_2() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    check("no_command", run_in(dir, "trian"), dir);
    check(
        "unknown_option",
        run_in(dir, "train data --hiden-size 3"),
        dir,
    );
    check("bad_value", run_in(dir, "eval x.p --beam-size 0"), dir);
    // On a machine with a driver there is another message.
    if let Err(tensor::GpuError::NoDriver) = tensor::gpus() {
        check("cuda", run_in(dir, "eval x.p --device cuda"), dir);
        check("cuda_train", run_in(dir, "train x --device cuda"), dir);
        // Threads and vectors are this machine's.
        let listed = run_in(dir, "devices").ok();
        let (cpu, none) = listed.split_once('\n').expect("two lines and a hint");
        assert!(
            cpu.starts_with("cpu   ") && cpu.contains(" threads, vectors of "),
            "{cpu}"
        );
        assert!(
            none.starts_with("cuda  none: no NVIDIA driver on this machine"),
            "{none}"
        );
        assert!(
            none.contains("\n      hint: install NVIDIA's driver"),
            "{none}"
        );
        let json = run_in(dir, "devices --json").ok();
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["gpus"], serde_json::json!([]));
        assert!(json["cpu"]["threads"].as_u64() > Some(0), "{json}");
        assert!(
            json["no_gpu"]["reason"]
                .as_str()
                .expect("a reason")
                .contains("libcuda"),
            "{json}"
        );
    }
    demo_data(dir);
    let line = "train shapes --drop-prob-encoder 1.5 -q";
    check("impossible_option", run_in(dir, line), dir);
    fs::write(dir.join("bad.toml"), "seed = 1\nhiden-size = 3\n").unwrap();
    check("bad_config", run_in(dir, "train --config bad.toml"), dir);
    check("resume_nothing", run_in(dir, "resume shapes"), dir);
}

#[test]
fn missing_files_are_exit_code_4() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    check(
        "no_checkpoint",
        run_in(dir, "inspect nothing.safetensors"),
        dir,
    );
    check("no_dataset", run_in(dir, "check-data nothing"), dir);
    check("no_config", run_in(dir, "train --config nothing.toml"), dir);
}

#[test]
fn broken_files_are_exit_code_3() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    fs::write(dir.join("text.p"), "once upon a time").unwrap();
    check("not_a_checkpoint", run_in(dir, "inspect text.p"), dir);
    // A pickle that would run a command if it was believed.
    fs::write(dir.join("evil.p"), "cos\nsystem\n(S'true'\ntR.").unwrap();
    check(
        "hostile_checkpoint",
        run_in(dir, "import evil.p out.safetensors"),
        dir,
    );
    assert!(!dir.join("out.safetensors").exists());
    fs::create_dir(dir.join("set")).unwrap();
    fs::write(
        dir.join("set/dataset.json"),
        "{\"images\": [{\"split\": 3}]}",
    )
    .unwrap();
    check("broken_dataset", run_in(dir, "check-data set"), dir);
}

#[test]
fn features_of_another_width_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    let line = "train shapes --run run --hidden-size 8 --image-encoding-size 8 --word-encoding-size 8 \
                --max-epochs 1 --batch-size 50 --threads 1 -q";
    run_in(dir, line).ok();
    // feats (2, 40) single, MAT level 4.
    let mut narrow: Vec<u8> = [10u32, 2, 40, 0, 6]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    narrow.extend(b"feats\0");
    narrow.extend((0..80).flat_map(|n| (n as f32).to_le_bytes()));
    fs::write(dir.join("narrow.mat"), narrow).unwrap();
    let line = "eval run/best.safetensors --features narrow.mat";
    check("wrong_width", run_in(dir, line), dir);
    let line = "check-data shapes --features narrow.mat --checkpoint run/best.safetensors";
    check("wrong_width_check", run_in(dir, line), dir);
    // Too few vectors for the pictures of the dataset.
    let few = run_in(
        dir,
        "predict run/best.safetensors --root-path shapes/new --features shapes/vgg_feats.mat",
    );
    check("wrong_count", few, dir);
    fs::rename(dir.join("shapes"), dir.join("moved")).unwrap();
    check(
        "dataset_moved",
        run_in(dir, "eval run/best.safetensors"),
        dir,
    );
    run_in(dir, "eval run/best.safetensors --dataset moved").ok();
    let cut = fs::read(dir.join("run/best.safetensors")).unwrap();
    fs::write(dir.join("cut.safetensors"), &cut[..cut.len() - 5]).unwrap();
    let ran = run_in(dir, "eval cut.safetensors --dataset moved");
    assert_eq!(ran.code, 3, "{}", ran.all());
    assert!(ran.err.contains("is cut off"), "{}", ran.all());
}

#[test]
fn every_problem_of_a_dataset_is_listed() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    fs::remove_file(dir.join("shapes/imgs/0003.png")).unwrap();
    fs::write(dir.join("shapes/imgs/0004.png"), "no picture").unwrap();
    check("check_data_warnings", run_in(dir, "check-data shapes"), dir);
    fs::remove_file(dir.join("shapes/vgg_feats.mat")).unwrap();
    // Without features the pictures are what training would read: the same problems are errors now.
    let json = |line: &str, code| -> serde_json::Value {
        let ran = run_in(dir, line);
        assert_eq!(ran.code, code, "{}", ran.all());
        serde_json::from_str(&ran.out).unwrap()
    };
    let report = json("check-data shapes --json", 3);
    assert_eq!(report["trainable"], false);
    assert!(report["features_error"].is_null());
    assert_eq!(report["problems"].as_array().unwrap().len(), 2);
    let kept = fs::read(dir.join("shapes/imgs/0005.png")).unwrap();
    for name in ["0003", "0004"] {
        fs::write(dir.join(format!("shapes/imgs/{name}.png")), &kept).unwrap();
    }
    let out = run_in(dir, "check-data shapes").ok();
    assert!(
        out.ends_with("training from the pictures would work: `train --encoder FILE`\n"),
        "{out}"
    );
    // Features that somebody named, or that nothing stands in for, must be there.
    json("check-data shapes --json --features gone.mat", 3);
    fs::remove_dir_all(dir.join("shapes/imgs")).unwrap();
    let report = json("check-data shapes --json", 3);
    let error = report["features_error"].as_str().unwrap();
    assert!(error.contains("vgg_feats.mat"), "{error}");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    use std::process::{Command, Stdio};
    let program = assert_cmd::cargo::cargo_bin("neuraltalk");
    let mut child = Command::new(program)
        .args(["gradcheck", "--per-parameter", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_the_original_spells_with_a_capital_is_understood_and_negative_numbers_are_values() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    for spelt in [
        "--tanhC_version 2",
        "--tanhC_version=2",
        "--tanhC-version 2",
    ] {
        let ran = run_in(dir, &format!("train shapes {spelt} -q"));
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(
            ran.err.contains("option `tanhc-version` is 2"),
            "{}",
            ran.err
        );
    }
    // The dataset as an option, which driver.py has; once is enough.
    for named in ["-d shapes", "--dataset shapes", "--dataset=shapes"] {
        let ran = run_in(dir, &format!("train {named} --tanhc-version 2 -q"));
        assert!(
            ran.err.contains("option `tanhc-version` is 2"),
            "{}",
            ran.err
        );
    }
    let ran = run_in(dir, "train shapes -d shapes -q");
    assert!(
        ran.code == 2 && ran.err.contains("cannot be used with"),
        "{}",
        ran.err
    );
    let ran = run_in(dir, "train shapes --learning-rate -1 -q");
    assert!(
        ran.code == 2 && ran.err.contains("`learning-rate` is -1"),
        "{}",
        ran.err
    );
}

#[test]
fn a_run_with_its_checkpoints_elsewhere_is_found_by_its_folder() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    let out = run_in(dir, &format!("train shapes {SMALL} --run runs/one -o kept")).ok();
    let next = out.lines().last().expect("lines");
    // The file alone would not say what it was trained on.
    assert_eq!(next, "next    neuraltalk eval runs/one");
    assert!(dir.join("kept/one-best.safetensors").exists());
    run_in(dir, "eval runs/one").ok();
    run_in(&dir.join("runs/one"), "inspect .").ok();
    // Nothing more to do; what there is is found again.
    let out = run_in(&dir.join("runs/one"), "resume . -q").ok();
    assert!(out.ends_with("next    neuraltalk eval .\n"), "{out}");
    assert!(!out.contains("step 0"), "{out}");
    run_in(dir, "inspect runs/one").ok();
    run_in(dir, "check-data shapes --checkpoint runs/one").ok();
    // Without a best checkpoint the last is named.
    let out = run_in(dir, &format!("train shapes {SMALL} --run runs/two -w 0.5")).ok();
    assert!(
        out.ends_with("next    neuraltalk inspect runs/two/last.safetensors\n"),
        "{out}"
    );
    // Found out before the first epoch, and without leaving a run behind.
    fs::write(dir.join("taken"), "a file").unwrap();
    let ran = run_in(
        dir,
        &format!("train shapes {SMALL} --run runs/three -o taken"),
    );
    assert_eq!(ran.code, 4, "{}{}", ran.out, ran.err);
    assert!(!dir.join("runs/three/config.toml").exists());
}

#[test]
fn pictures_that_cannot_be_copied_lose_no_captions() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    run_in(dir, &format!("train shapes {SMALL} --run run")).ok();
    let first = fs::read_dir(dir.join("shapes/imgs")).unwrap().count();
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("shapes/dataset.json")).unwrap()).unwrap();
    let images = json["images"].as_array().unwrap();
    let test = images.iter().filter(|image| image["split"] == "test");
    let gone: Vec<&str> = test
        .map(|image| image["filename"].as_str().unwrap())
        .collect();
    fs::remove_file(dir.join("shapes/imgs").join(gone[0])).unwrap();
    let ran = run_in(dir, "eval run --dump-folder dump");
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(
        ran.err.contains(gone[0]) && ran.err.contains("1 picture could not be copied"),
        "{}",
        ran.err
    );
    assert!(dir.join("result_struct.json").exists() && first > 1);
    assert_eq!(
        fs::read_dir(dir.join("dump")).unwrap().count(),
        gone.len() - 1
    );
}

#[test]
fn check_data_prints_json_of_a_dataset_that_is_none() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    fs::write(dir.join("bad.json"), "{").unwrap();
    for (name, code) in [("bad.json", 3), ("nothing", 4)] {
        let ran = run_in(dir, &format!("check-data {name} --json"));
        assert_eq!(ran.code, code, "{}", ran.err);
        let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
        assert_eq!(json["trainable"], false);
        assert!(json["dataset_error"].as_str().expect("why").contains(name));
    }
}
