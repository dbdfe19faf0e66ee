//! The commands of the scripts about the log.
//!
//! ```text
//!   create                a new log, on an empty simulated disk
//!   append TEXT…          one record with an entry for each text; term=N vote=N truncate=N
//!   fill N                N records with one entry of 1,000 bytes each
//!   sync, close           what was appended is durable; the log is closed
//!   mark N, release N     a snapshot covers the entries up to N; the segments before it may go
//!   power_loss            any of what was not synced is there (seed=N draws), or with lost=true none of it
//!   flip FILE OFFSET      one bit goes bad
//!   capacity FREE         so many bytes are left on the disk; without a number, as many as one likes
//!   fail_sync             the next sync fails
//!   scan                  what a recovery finds, without changing anything
//!   open                  recovery, and the log is open again
//!   files                 what is on the disk
//! ```

use std::error::Error;
use std::sync::Arc;

use goldenscript::ArgumentConsumer;
use spinney::internals::entry::{Entry, EntryId, HardState, Payload, WriteSet};
use spinney::internals::wal::{Disk, Recovery, Reserve, SimulatedDisk, Wal, WalSettings};
use spinney::{ClusterId, Identity, LogIndex, MemberId, Term, Timestamp, WalError};

type Outcome<T = String> = Result<T, Box<dyn Error>>;

const SETTINGS: WalSettings = WalSettings { segment_bytes: 16 << 10, salt_seed: 1 };

/// A disk, and the log on it while it is open.
pub(crate) struct Runner {
    disk: SimulatedDisk,
    wal: Option<Wal>,
    term: Term,
}

impl Runner {
    pub(crate) fn new() -> Self {
        Self { disk: SimulatedDisk::new(), wal: None, term: Term::new(1) }
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    fn wal(&mut self) -> Outcome<&mut Wal> {
        self.wal.as_mut().ok_or_else(|| "no log is open".into())
    }

    fn append(&mut self, texts: Vec<Vec<u8>>, mut write: WriteSet) -> Outcome {
        let term = self.term;
        let wal = self.wal()?;
        let mut index = write.truncate_from.map_or(wal.last().index, LogIndex::previous);
        for text in texts {
            index = index.next();
            let payload = Payload::Command(text.into());
            write.entries.push(Entry {
                id: EntryId { term, index },
                time: Timestamp::new(0),
                session: None,
                payload,
            });
        }
        Ok(said(wal.append(&write)))
    }

    fn fill(&mut self, records: usize) -> Outcome {
        for _ in 0..records {
            let room = self.wal()?.room(1010, Reserve::Ordinary);
            if room.is_err() {
                return Ok(said(room));
            }
            let said = self.append(vec![vec![b'x'; 1000]], WriteSet::default())?;
            if !said.is_empty() {
                return Ok(said);
            }
        }
        Ok(String::new())
    }

    fn scan(&self) -> Outcome {
        let recovery = match Recovery::scan(self.disk()) {
            Ok(recovery) => recovery,
            Err(error) => return Ok(refused(&error)),
        };
        let mut out = String::new();
        let Some(identity) = recovery.identity() else { return Ok("nothing is there yet\n".to_owned()) };
        out += &format!("log of member {} in cluster {}\n", identity.member, identity.cluster);
        if let Some(hard_state) = recovery.hard_state() {
            let vote = hard_state.vote.map_or("nobody".to_owned(), |member| member.to_string());
            out += &format!("term {}, voted for {vote}\n", hard_state.term);
        }
        if let Some(mark) = recovery.snapshot_mark() {
            out += &format!("a snapshot covers entries up to {}\n", mark.index);
        }
        if let Some((path, offset)) = recovery.torn() {
            out += &format!("torn at {}:{offset}\n", path.display());
        }
        let first = recovery.first_index();
        recovery.replay(first, |entry| -> Result<(), WalError> {
            let Payload::Command(bytes) = &entry.payload else { return Ok(()) };
            let text = String::from_utf8_lossy(bytes);
            let text = if text.len() > 20 { format!("{} bytes", text.len()) } else { text.into_owned() };
            out += &format!("{}@{} {text}\n", entry.id.index, entry.id.term);
            Ok(())
        })?;
        Ok(shortened(&out))
    }

    fn open(&mut self) -> Outcome {
        self.wal = None;
        self.disk.restart();
        Ok(match Recovery::scan(self.disk()).and_then(|recovery| recovery.into_wal(SETTINGS)) {
            Ok(wal) => {
                let last = wal.last();
                self.wal = Some(wal);
                format!("open, the last entry is {}@{}\n", last.index, last.term)
            }
            Err(error) => refused(&error),
        })
    }

    /// Does the work that other threads would do.
    fn keep(&mut self) {
        if let Some(wal) = &mut self.wal {
            for _ in 0..8 {
                match wal.spare_wanted() {
                    Some(job) => drop(job.run()),
                    None => return,
                }
            }
        }
    }
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, _: &goldenscript::Context) -> Outcome {
        let mut args = command.consume_args();
        let out = match command.name.as_str() {
            "create" => {
                let identity = Identity { cluster: ClusterId::new(0xc1), member: MemberId::new(7) };
                self.wal = Some(Wal::create(self.disk(), SETTINGS, identity, None)?);
                String::new()
            }
            "append" => {
                let mut write = WriteSet::default();
                if let Some(term) = key(&mut args, "term")? {
                    self.term = Term::new(term);
                    let vote = key(&mut args, "vote")?.map(MemberId::new);
                    write.hard_state = Some(HardState { term: self.term, vote, ..HardState::default() });
                }
                write.truncate_from = key(&mut args, "truncate")?.map(LogIndex::new);
                let texts =
                    std::iter::from_fn(|| args.next_pos()).map(|text| text.as_bytes().to_vec()).collect();
                self.append(texts, write)?
            }
            "fill" => {
                let records = number(&mut args, "records")?;
                self.fill(records as usize)?
            }
            "sync" => said(self.wal()?.sync()),
            "close" => said(self.wal.take().ok_or("no log is open")?.close()),
            "mark" => {
                let index = LogIndex::new(number(&mut args, "index")?);
                let snapshot = Some(EntryId { term: self.term, index });
                said(self.wal()?.append(&WriteSet { snapshot, ..WriteSet::default() }))
            }
            "release" => {
                let index = LogIndex::new(number(&mut args, "index")?);
                self.wal()?.release(index);
                String::new()
            }
            "power_loss" => {
                let seed = key(&mut args, "seed")?.unwrap_or(1);
                self.wal = None;
                self.disk = self.disk.power_loss(seed);
                String::new()
            }
            "flip" => {
                let file = args.next_pos().ok_or("which file?")?;
                let offset = number(&mut args, "offset")?;
                self.disk.flip_bit(file, offset as usize * 8);
                String::new()
            }
            "capacity" => {
                let free = args.next_pos().map(str::parse::<u64>).transpose()?;
                let used =
                    self.disk.names()?.iter().map(|name| self.disk.content(name).len() as u64).sum::<u64>();
                self.disk.set_capacity(free.map(|free| used + free));
                String::new()
            }
            "fail_sync" => {
                self.disk.fail_sync(0);
                String::new()
            }
            "scan" => self.scan()?,
            "open" => self.open()?,
            "files" => {
                let length = |name: &String| format!("{name} {} bytes\n", self.disk.content(name).len());
                self.disk.names()?.iter().map(length).collect()
            }
            name => return Err(format!("no command is called {name}").into()),
        };
        args.reject_next()?;
        self.keep();
        Ok(out)
    }
}

fn number(args: &mut ArgumentConsumer<'_>, what: &str) -> Outcome<u64> {
    Ok(args.next_pos().ok_or_else(|| format!("which {what}?"))?.parse()?)
}

fn key(args: &mut ArgumentConsumer<'_>, name: &str) -> Outcome<Option<u64>> {
    Ok(args.take_key(name).map(str::parse).transpose()?)
}

fn said(outcome: Result<(), WalError>) -> String {
    outcome.map_or_else(|error| refused(&error), |()| String::new())
}

fn refused(error: &WalError) -> String {
    format!("refused: {error}\n")
}

/// Many lines that differ in their numbers alone, as the first and the last.
fn shortened(out: &str) -> String {
    let lines: Vec<&str> = out.lines().collect();
    let entries = lines.iter().filter(|line| line.ends_with(" bytes")).count();
    if entries < 6 {
        return out.to_owned();
    }
    let first = lines.iter().position(|line| line.ends_with(" bytes")).unwrap_or_default();
    let kept = [&lines[..=first], &["…"], &lines[first + entries - 1..]].concat();
    kept.join("\n") + "\n"
}
