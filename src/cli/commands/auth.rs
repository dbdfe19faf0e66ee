//! `auth enable` and `auth disable`.

use std::io::{self, Write as _};

use crate::cli::args::AuthCommand;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

pub(crate) fn run(session: &Session, command: &AuthCommand) -> Result<(), Failure> {
    let (names, enable) = match command {
        AuthCommand::Enable(names) => (names, true),
        AuthCommand::Disable(names) => (names, false),
    };
    if !names.names.is_empty() {
        return Err(Failure::plain("No arguments accepted"));
    }
    let cluster = session.cluster_for_auth()?;
    cluster.enable_auth(enable, session.deadline()).map_err(Failure::plain)?;
    writeln!(io::stdout(), "Authentication {}", if enable { "Enabled" } else { "Disabled" })?;
    Ok(())
}
