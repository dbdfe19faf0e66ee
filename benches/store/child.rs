//! Measurements that want a process of their own: memory, because allocators give nothing back, and opening,
//! because a process that has done it before has the memory already.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::rows::CHILDREN;

/// The argument that makes this program a child.
pub(crate) const FLAG: &str = "--child";

/// What a child does in `directory`, and the values that it answers with.
pub(crate) type Task = fn(directory: &Path) -> Result<Vec<f64>>;

/// Has a child do the task of this name and returns its values.
pub(crate) fn ask<const VALUES: usize>(task: &str, directory: &Path) -> Result<[f64; VALUES]> {
    let output = Command::new(std::env::current_exe()?)
        .args([FLAG, task])
        .arg(directory)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the child that was to do {task} failed").into());
    }
    let text = String::from_utf8(output.stdout)?;
    let values: Vec<f64> = text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
    let values: std::result::Result<[f64; VALUES], _> = values.try_into();
    Ok(values.map_err(|values| format!("{task} answered with {} values", values.len()))?)
}

/// The child: `arguments` are those that [`ask`] passed, without the flag.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [name, directory] = arguments else {
        return Err("a child wants two arguments".into());
    };
    let task = CHILDREN.iter().find(|(task, _)| task == name);
    let (_, task) = task.ok_or_else(|| format!("there is no task {name}"))?;
    for value in task(Path::new(directory))? {
        println!("{value}");
    }
    Ok(())
}
