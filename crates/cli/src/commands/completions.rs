//! `neuraltalk completions`: shell completions, or the manual page, on standard output.

use std::io::Write;

use clap_complete::Shell;

use crate::exit::Exit;

/// Print shell completions or the manual page
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  neuraltalk completions bash > ~/.local/share/bash-completion/completions/neuraltalk
  neuraltalk completions man > neuraltalk.1")]
pub(crate) struct Args {
    /// For which shell, or `man`
    #[arg(value_enum)]
    what: What,
}

/// What to print.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    Bash,
    Elvish,
    Fish,
    Man,
    #[value(name = "powershell")]
    PowerShell,
    Zsh,
}

/// Prints it to `out`.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let shell = match args.what {
        What::Man => return manual(out),
        What::Bash => Shell::Bash,
        What::Elvish => Shell::Elvish,
        What::Fish => Shell::Fish,
        What::PowerShell => Shell::PowerShell,
        What::Zsh => Shell::Zsh,
    };
    // clap_complete panics if a write fails; a closed pipe must not.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut crate::command_line(), "neuraltalk", &mut text);
    out.write_all(&text)?;
    Ok(Exit::Done)
}

/// The program's page, then one for each command, as one roff file.
fn manual(out: &mut dyn Write) -> anyhow::Result<Exit> {
    let mut command = crate::command_line();
    command.build();
    clap_mangen::Man::new(command.clone()).render(out)?;
    for one in command.get_subcommands().filter(|c| c.get_name() != "help") {
        let name = format!("neuraltalk-{}", one.get_name());
        clap_mangen::Man::new(one.clone().name(name)).render(out)?;
    }
    Ok(Exit::Done)
}
