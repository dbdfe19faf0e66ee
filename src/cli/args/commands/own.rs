//! What etcdctl never had.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  spinney tree\n  spinney tree --depth 2 /services\n  spinney tree --keys-only /"
)]
pub(crate) struct Tree {
    /// The directory; the root if none is named
    #[arg(default_value = "/")]
    pub(crate) key: OsString,
    /// How many levels to draw
    #[arg(long, value_name = "LEVELS")]
    pub(crate) depth: Option<usize>,
    /// Leave the values out
    #[arg(long)]
    pub(crate) keys_only: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "The editor is $VISUAL, or $EDITOR, or vi. The value is written only if nobody changed it meanwhile; \
        otherwise the edited text is kept in a file. A key that is not there is made.\n\nExamples:\n  spinney edit \
        /config"
)]
pub(crate) struct Edit {
    /// The key
    pub(crate) key: OsString,
}

/// How keys and values are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    Json,
    Toml,
}

#[derive(Args, Debug)]
#[command(
    after_help = "A directory becomes an object, a value becomes text. Keys that expire are left out, and so are hidden \
        ones, which v2 never lists.\n\nExamples:\n  spinney export /app > app.json\n  spinney export --format toml /app > \
        app.toml\n  spinney export --data-dir ./data /"
)]
pub(crate) struct Export {
    /// The directory
    pub(crate) key: OsString,
    /// The form of the text
    #[arg(long, value_enum, default_value_t = TextFormat::Json)]
    pub(crate) format: TextFormat,
    /// Keep the values of keys that expire
    #[arg(long)]
    pub(crate) with_ttl: bool,
    /// Read this data directory, which nobody may serve, and ask no server
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "What would change is shown first. It is then done as one transaction, all of it or none, and only if \
        nobody changed those keys meanwhile. A server that is not Spinney has no transactions: there, nothing is done \
        without --one-by-one.\n\nExamples:\n  spinney import /app app.toml\n  spinney import --prune --yes /app \
        app.json\n  spinney export /app | spinney --endpoints http://n2:2379 import --yes /app -\n  spinney import \
        --data-dir ./data / all.json"
)]
pub(crate) struct Import {
    /// The directory, made if missing
    pub(crate) key: OsString,
    /// JSON or TOML as `export` writes it; - for stdin
    pub(crate) file: PathBuf,
    /// The form of the text; else the name of the file tells
    #[arg(long, value_enum)]
    pub(crate) format: Option<TextFormat>,
    #[command(flatten)]
    pub(crate) mode: ImportMode,
    /// Write to this data directory, which nobody may serve, and ask no server
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ImportMode {
    /// Remove keys that the file does not have; keys that expire stay
    #[arg(long)]
    pub(crate) prune: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Only show what would change; exit code 1 if anything would
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Where the server has no transactions, make the changes one by one, each on condition that nobody changed the key
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) one_by_one: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  source <(spinney completions bash)\n  spinney completions fish > \
        ~/.config/fish/completions/spinney.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
