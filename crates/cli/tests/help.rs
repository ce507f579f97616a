//! The help of every command, whole: what users read is reviewed like code.

mod program;

use program::run_words;

const COMMANDS: [&str; 21] = [
    "demo",
    "check-data",
    "train",
    "resume",
    "eval",
    "predict",
    "inspect",
    "import",
    "export",
    "score",
    "document-frequencies",
    "multi-bleu",
    "gradcheck",
    "demo-data",
    "completions",
    "caption",
    "features",
    "serve",
    "monitor",
    "view",
    "devices",
];

fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help_of_the_program_and_of_every_command() {
    let here = std::env::temp_dir();
    let help = run_words(&here, &["--help"], "").ok();
    for command in COMMANDS {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command} is not listed"
        );
    }
    let names = help.lines().filter(|line| {
        line.starts_with("  ") && line[2..].starts_with(|c: char| c.is_ascii_lowercase())
    });
    assert_eq!(
        names.count(),
        COMMANDS.len() + 1,
        "`help` is one more: {help}"
    );
    check("help", &help);
    for command in COMMANDS {
        let name = format!("help_{}", command.replace('-', "_"));
        check(&name, &run_words(&here, &[command, "--help"], "").ok());
    }
}

#[test]
fn completions_and_manual_are_written() {
    let here = std::env::temp_dir();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run_words(&here, &["completions", shell], "").ok();
        assert!(script.contains("beam-size"), "{shell}");
    }
    let manual = run_words(&here, &["completions", "man"], "").ok();
    for command in COMMANDS {
        assert!(
            manual.contains(&format!("neuraltalk-{}", command).replace('-', "\\-")),
            "{command}"
        );
    }
}
