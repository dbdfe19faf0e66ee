//! Programs that a test runs to their end: it has to come.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Generous, since it only ends what would hang.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often it is looked whether a program has ended.
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
        let (stdout, stderr) = (self.stdout.take().map(gather), self.stderr.take().map(gather));
        let status = ended(self);
        let [stdout, stderr] = [stdout, stderr].map(|said| said.map_or_else(Vec::new, |said| heard(&said)));
        let Some(status) = status else {
            let said = [&stdout, &stderr].map(|said| String::from_utf8_lossy(said));
            panic!("it does not end, and has said {said:?}");
        };
        Output { status, stdout, stderr }
    }
}

/// How a program has ended that was told to; `None` if it was killed, since it did not.
pub(crate) fn ended(child: &mut Child) -> Option<ExitStatus> {
    let mut left = PATIENCE;
    while !left.is_zero() {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(LOOK);
        left = left.saturating_sub(LOOK);
    }
    let _ = (child.kill(), child.wait());
    None
}

/// What a program that is over has said. One that it has left behind may hold on to where it said it.
fn heard(said: &Receiver<Vec<u8>>) -> Vec<u8> {
    said.recv_timeout(PATIENCE).expect("somebody else says more")
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
