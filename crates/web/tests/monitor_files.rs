//! Files of runs as disks, other programs and people leave them: each is shown with what is wrong with it.

use std::path::Path;

use serde_json::Value;

/// Name of each run below `malformed`, how it is shown, and what its problem says.
const SHOWN: [(&str, &str, &str); 16] = [
    (
        "runs/damaged_line",
        "running",
        "line 2, column 13 is no event",
    ),
    (
        "runs/half_config",
        "starting",
        "config.toml is half-written or damaged",
    ),
    (
        "runs/iteration_is_text",
        "starting",
        "line 1, column 36 is no event",
    ),
    ("runs/no_config", "running", "cannot read config.toml"),
    ("runs/not_utf8", "starting", "line 1, column 47 is no event"),
    ("runs/nulls", "running", ""),
    (
        "runs/samples_are_numbers",
        "starting",
        "line 1, column 36 is no event",
    ),
    (
        "status/empty.json",
        "broken",
        "half-written: it ends at line 1, column 0",
    ),
    (
        "status/ends_in_escape.json",
        "broken",
        "half-written: it ends at line 1, column 19",
    ),
    ("status/half.json", "broken", "damaged: no JSON at line 1"),
    (
        "status/history_is_text.json",
        "broken",
        "not a status file of NeuralTalk",
    ),
    (
        "status/infinity.json",
        "broken",
        "not a status file of NeuralTalk",
    ),
    (
        "status/iter_is_text.json",
        "broken",
        "not a status file of NeuralTalk",
    ),
    (
        "status/list.json",
        "broken",
        "not a status file of NeuralTalk",
    ),
    (
        "status/not_utf8.json",
        "broken",
        "damaged: no JSON at line 1",
    ),
    (
        "status/number_too_large.json",
        "broken",
        "damaged: no JSON at line 1",
    ),
];

#[test]
fn every_malformed_file_is_shown_with_its_problem() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed");
    let shown = web::monitor::now(vec![root.clone()]);
    let runs = shown["runs"].as_array().expect("a list");
    let text = |run: &Value, field: &str| run[field].as_str().unwrap_or_default().to_owned();
    for run in runs {
        println!("{} {} {}", run["id"], run["state"], run["problem"]);
    }
    assert_eq!(runs.len(), SHOWN.len());
    for (name, state, problem) in SHOWN {
        let id = root.join(name).to_string_lossy().into_owned();
        let run = runs.iter().find(|run| run["id"] == id.as_str());
        let run = run.unwrap_or_else(|| panic!("{name} isn't shown"));
        // Once its reports are old, a run is silent: these files are as old as the checkout.
        let is = text(run, "state").replace("silent", "running");
        assert_eq!(is, state, "{name}");
        let is = text(run, "problem");
        assert_eq!(is.is_empty(), problem.is_empty(), "{name}: {is}");
        assert!(is.contains(problem), "{name}: {is}");
    }
}
