//! `-c`: which rule files a subcommand is about.

use std::path::PathBuf;

use nix::unistd::Uid;

use crate::config::files::DefaultPlaces;
use crate::daemon::load::Places;

/// The option, for every subcommand that reads rule files.
#[derive(Debug, clap::Args)]
pub struct RuleFiles {
    /// A rule file, or a folder of them; may be given several times [default: facron.toml and rules.d/ below
    /// /etc/facron; for a user below $XDG_CONFIG_HOME/facron]
    #[arg(short, long, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
}

impl RuleFiles {
    /// Where to look.
    ///
    /// # Errors
    /// The usual place is asked for, and the environment does not tell it.
    #[expect(clippy::disallowed_methods, reason = "the border: the environment is read here")]
    pub fn places(&self) -> Result<Places, &'static str> {
        if !self.config.is_empty() {
            return Ok(Places::Given(self.config.clone()));
        }
        let (config_home, home) = (std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME"));
        DefaultPlaces::new(Uid::effective().is_root(), config_home.as_deref(), home.as_deref())
            .map(Places::Default)
            .ok_or("neither XDG_CONFIG_HOME nor HOME says where your rule files are; name one with -c")
    }
}
