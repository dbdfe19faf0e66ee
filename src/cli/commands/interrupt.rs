//! Ctrl-C, for commands that go on until then.

use std::process;

use crate::cli::failure::Failure;

/// Ends the process with exit code 0 at the next interrupt: for commands that change nothing, and wait for ever.
pub(super) fn exit_cleanly() -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(Failure::plain)?;
    // Taken before the thread starts, so that no interrupt from now on is missed.
    let interrupt = {
        let _entered = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(Failure::plain)?
    };
    let wait = move || {
        let mut interrupt = interrupt;
        runtime.block_on(interrupt.recv());
        process::exit(0);
    };
    std::thread::Builder::new().name("spinney-signal".to_owned()).spawn(wait).map_err(Failure::plain)?;
    Ok(())
}
