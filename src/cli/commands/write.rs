//! `set`, `mk`, `update`, and the same for directories.

use std::ffi::OsString;
use std::io;

use crate::cli::args::{Directory, Mk, Set, Update};
use crate::cli::client::{Exist, Put};
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};
use crate::cli::session::{self, Session};

pub(crate) fn set(session: &Session, set: &Set) -> Result<(), Failure> {
    let prev_value = set.swap_with_value.as_ref().map_or(&b""[..], |value| value.as_encoded_bytes());
    let put = Put { ttl: set.ttl, prev_value, prev_index: index(set.swap_with_index), ..Put::default() };
    put_value(session, set.key.as_ref(), set.value.as_ref(), put)
}

pub(crate) fn mk(session: &Session, mk: &Mk) -> Result<(), Failure> {
    let put = Put { ttl: mk.ttl, exist: Exist::No, in_order: mk.in_order, ..Put::default() };
    put_value(session, mk.key.as_ref(), mk.value.as_ref(), put)
}

pub(crate) fn update(session: &Session, update: &Update) -> Result<(), Failure> {
    let put = Put { ttl: update.ttl, exist: Exist::Yes, ..Put::default() };
    put_value(session, update.key.as_ref(), update.value.as_ref(), put)
}

/// Writes as `put` says, once key and value are there.
fn put_value(
    session: &Session,
    key: Option<&OsString>,
    value: Option<&OsString>,
    put: Put<'_>,
) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let key = session::key(key)?;
    let value = session::value(value)?;
    let put = Put { key, value: Some(&value), ..put };
    let answer = cluster.put(&put, session.deadline()).map_err(|error| Failure::server(&error))?;
    Ok(output::show(&mut io::stdout().lock(), &answer, &session.format)?)
}

pub(crate) fn mkdir(session: &Session, directory: &Directory) -> Result<(), Failure> {
    put_directory(session, directory, Exist::No)
}

pub(crate) fn setdir(session: &Session, directory: &Directory) -> Result<(), Failure> {
    put_directory(session, directory, Exist::Any)
}

pub(crate) fn updatedir(session: &Session, directory: &Directory) -> Result<(), Failure> {
    put_directory(session, directory, Exist::Yes)
}

fn put_directory(session: &Session, directory: &Directory, exist: Exist) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let key = session::key(directory.key.as_ref())?;
    let put = Put { key, ttl: directory.ttl, exist, ..Put::default() };
    let answer = cluster.put(&put, session.deadline()).map_err(|error| Failure::server(&error))?;
    // A directory has no value to show.
    if session.format == Format::Simple {
        return Ok(());
    }
    Ok(output::show(&mut io::stdout().lock(), &answer, &session.format)?)
}

/// An index from a flag: a negative one wraps round, as in etcdctl, to one that never was.
pub(super) fn index(number: i64) -> u64 {
    number.cast_unsigned()
}
