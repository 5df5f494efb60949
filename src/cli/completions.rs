//! `facron completions`: prints shell completions. What clap makes is completed by the names of rules, which the
//! running daemon knows.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::output::print_and_end;
use super::{Cli, ExitStatus, Global};

/// Asks for the names of all rules, one a line; silent without a daemon.
const NAMES: &str = "facron __rules 2>/dev/null";

/// What stands for a rule on the command line.
const RULE: &str = "rule";

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which shell
    shell: Known,
}

/// The shells for which the names of rules are completed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Carries it out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    print_and_end(&script(args.shell), ExitStatus::Ok, global)
}

fn script(shell: Known) -> String {
    let mut command = visible(&Cli::command());
    let with_rule: Vec<String> = command
        .get_subcommands()
        .filter(|command| command.get_positionals().any(|argument| argument.get_id() == RULE))
        .map(|command| command.get_name().to_owned())
        .collect();
    let mut generated = |shell: Shell| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, "facron", &mut text);
        String::from_utf8(text).expect("our own words are UTF-8")
    };
    match shell {
        Known::Bash => generated(Shell::Bash) + &bash(&with_rule),
        Known::Zsh => zsh(&generated(Shell::Zsh)),
        Known::Fish => generated(Shell::Fish) + &fish(&with_rule),
    }
}

/// The command without subcommands that are hidden.
fn visible(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned()).version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    let subcommands = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.args(command.get_arguments().cloned()).subcommands(subcommands.map(visible))
}

/// Around clap's function: the first word after the subcommand that is no option and no value of one is a rule.
fn bash(with_rule: &[String]) -> String {
    format!(
        r#"
_facron_with_rules() {{
    _facron "$@"
    local word subcommand="" is_value=""
    [[ "$2" == -* ]] && return
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        if [[ -n "$is_value" ]]; then
            is_value=""
        elif [[ "$word" == -c || "$word" == --config || "$word" == --format || "$word" == --color ]]; then
            is_value=yes
        elif [[ "$word" == -* ]]; then
            continue
        elif [[ -z "$subcommand" ]]; then
            subcommand="$word"
        else
            return
        fi
    done
    case "$subcommand,$is_value" in
        {})
            COMPREPLY=($(compgen -W "$({NAMES})" -- "$2"))
            ;;
    esac
}}
complete -F _facron_with_rules -o nosort -o bashdefault -o default facron
"#,
        with_rule.iter().map(|name| format!("{name},")).collect::<Vec<_>>().join(" | ")
    )
}

/// In clap's script every place of a rule completes by itself.
fn zsh(generated: &str) -> String {
    let function = format!("\n_facron_rules() {{\n    compadd -- ${{(f)\"$({NAMES})\"}}\n}}\n");
    let mut script = String::new();
    for (index, line) in generated.lines().enumerate() {
        let is_rule =
            line.starts_with(&format!("':{RULE} -- ")) || line.starts_with(&format!("'::{RULE} -- "));
        match line.strip_suffix(":_default' \\") {
            Some(begin) if is_rule => script += &format!("{begin}:_facron_rules' \\\n"),
            Some(_) | None => script += &format!("{line}\n"),
        }
        if index == 0 {
            script += &function;
        }
    }
    script
}

fn fish(with_rule: &[String]) -> String {
    let line = |name: &String| {
        // Only trigger goes on with paths.
        let no_files = if name == "trigger" { "" } else { " -f" };
        format!(
            "complete -c facron -n \"__fish_facron_using_subcommand {name}\"{no_files} -a \"({NAMES})\" -d 'Rule'\n"
        )
    };
    with_rule.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_offers_every_visible_subcommand_and_nothing_hidden() {
        for shell in [Known::Bash, Known::Zsh, Known::Fish] {
            let script = script(shell);
            for subcommand in Cli::command().get_subcommands() {
                let name = subcommand.get_name();
                let is_offered = script.replace(NAMES, "").contains(name);
                assert_eq!(is_offered, !subcommand.is_hide_set(), "{shell:?}: {name}");
            }
        }
    }

    #[test]
    fn rules_are_completed_where_a_rule_stands() {
        assert!(script(Known::Bash).contains("status, | trigger, | pause, | resume,)"));
        assert_eq!(script(Known::Zsh).matches(":_facron_rules'").count(), 4);
        assert_eq!(script(Known::Fish).matches(NAMES).count(), 4);
    }
}
