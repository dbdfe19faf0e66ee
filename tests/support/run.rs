//! Programs that a test runs to their end: it has to come.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Generous, since it only ends what would hang.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often it is looked whether a program has ended that says nothing more.
const LOOK: Duration = Duration::from_millis(2);

/// What is to be run.
pub(crate) trait Run {
    /// Runs it to its end, and gives what it has said. One that does not end is killed, and fails the test.
    fn run(&mut self) -> Output;
}

impl Run for Command {
    fn run(&mut self) -> Output {
        let mut child =
            self.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        child.run()
    }
}

impl Run for Child {
    fn run(&mut self) -> Output {
        drop(self.stdin.take());
        let said = [self.stdout.take().map(gather), self.stderr.take().map(gather)];
        let heard = said.map(|pipe| pipe.map_or(Some(Vec::new()), |pipe| pipe.recv_timeout(PATIENCE).ok()));
        let [Some(stdout), Some(stderr)] = heard else {
            let _ = (self.kill(), self.wait());
            panic!("it does not end: {heard:?}");
        };
        Output { status: ends(self), stdout, stderr }
    }
}

/// How a program ends that was told to, or has said all that it has to say.
pub(crate) fn ends(child: &mut Child) -> ExitStatus {
    let mut left = PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if left.is_zero() {
            let _ = (child.kill(), child.wait());
            panic!("it does not end");
        }
        thread::sleep(LOOK);
        left = left.saturating_sub(LOOK);
    }
}

/// Reads to the end, which may never come, on a thread of its own.
fn gather(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut said = Vec::new();
        let _ = pipe.read_to_end(&mut said);
        let _ = sender.send(said);
    });
    receiver
}
