//! What the flags of `serve` come to, once they have been checked against each other.

use std::path::PathBuf;

use super::listen::{Listener, Url};
use super::peers::Peers;
use crate::cli::args::{Durability as DurabilityFlag, Serve, ServerTls, named};
use crate::http::Cors;
use crate::member::Durability;

/// Everything there is to know before anything is opened.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) data_dir: PathBuf,
    pub(super) durability: Durability,
    pub(super) listen: Vec<Url>,
    /// `None` for those where clients are served.
    advertise: Option<Vec<String>>,
    pub(super) peers: Peers,
    /// The directory is to be made a cluster of its own first.
    pub(super) recovers: bool,
    pub(super) cors: Cors,
    pub(super) tls: Option<Tls>,
    /// What is odd, though it can be done.
    pub(super) warnings: Vec<String>,
}

/// Files for https:// URLs.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Tls {
    pub(in crate::cli) certificate: PathBuf,
    pub(in crate::cli) key: PathBuf,
    /// Whom to trust to name clients, where clients have to be named.
    pub(super) client_authorities: Option<PathBuf>,
}

impl Plan {
    /// # Errors
    ///
    /// Which flags are wrong, or do not go together, and why.
    pub(super) fn of(serve: &Serve) -> Result<Self, String> {
        let listen = urls("listen-client-urls", &serve.listen_client_urls)?;
        let advertise = serve.advertise_client_urls.as_deref();
        let advertise = advertise.map(|text| urls("advertise-client-urls", text)).transpose()?;
        if advertise.is_none()
            && let Some(url) = listen.iter().find(|url| url.is_everywhere())
        {
            return Err(format!(
                "--listen-client-urls {url} is no address that clients can be told: say with --advertise-client-urls \
                 where they reach this member"
            ));
        }
        let peers = Peers::of(serve)?;
        let durability = match serve.durability {
            DurabilityFlag::Disk => Durability::Disk,
            DurabilityFlag::Process if peers.membership.is_some() => {
                return Err(
                    "--durability process is for a member alone: others count on what it says is on disk"
                        .to_owned(),
                );
            }
            DurabilityFlag::Process => Durability::Process,
        };
        let (tls, warnings) = tls(&serve.tls, &listen)?;
        let name = serve.name.clone();
        Ok(Self {
            data_dir: named(&serve.data_dir).unwrap_or_else(|| PathBuf::from(format!("{name}.spinney"))),
            name,
            durability,
            listen,
            advertise: advertise.map(|urls| urls.iter().map(Url::to_string).collect()),
            peers,
            recovers: serve.force_new_cluster,
            cors: cors(&serve.cors)?,
            tls,
            warnings,
        })
    }

    /// The URLs that clients are told.
    pub(super) fn advertised(&self, listeners: &[Listener]) -> Vec<String> {
        let actual = || listeners.iter().map(|listener| listener.url.clone()).collect();
        self.advertise.clone().unwrap_or_else(actual)
    }
}

pub(in crate::cli) fn urls(flag: &str, text: &str) -> Result<Vec<Url>, String> {
    let urls =
        text.split(',').map(|url| Url::parse(url.trim()).map_err(|why| format!("--{flag} {url:?}: {why}")));
    urls.collect()
}

/// The files for https:// URLs, if there are any, and what is odd.
pub(in crate::cli) fn tls(flags: &ServerTls, listen: &[Url]) -> Result<(Option<Tls>, Vec<String>), String> {
    let is_wanted = listen.iter().any(Url::is_tls);
    let client_authorities = match (named(&flags.trusted_ca_file), flags.client_cert_auth) {
        (None, true) => {
            return Err("--client-cert-auth: name the authorities with --trusted-ca-file".to_owned());
        }
        // As in etcd, naming authorities is asking for certificates.
        (authorities, _) => authorities,
    };
    let tls = match (named(&flags.cert_file), named(&flags.key_file)) {
        (Some(certificate), Some(key)) => Some(Tls { certificate, key, client_authorities }),
        (None, None) if is_wanted => {
            return Err("https:// in --listen-client-urls needs --cert-file and --key-file".to_owned());
        }
        (None, None) if client_authorities.is_some() => {
            return Err("--trusted-ca-file means nothing without --cert-file and --key-file".to_owned());
        }
        (None, None) => None,
        (Some(_), None) => return Err("--cert-file needs --key-file".to_owned()),
        (None, Some(_)) => return Err("--key-file needs --cert-file".to_owned()),
    };
    let plain = listen.iter().filter(|url| tls.is_some() && !url.is_tls());
    let warnings = plain.map(|url| format!("{url} is served without TLS, since it says http://")).collect();
    Ok((tls, warnings))
}

fn cors(text: &str) -> Result<Cors, String> {
    let origins: Vec<_> = text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
    if origins.contains(&"*") {
        return Ok(Cors::default());
    }
    for origin in &origins {
        Url::parse(origin).map_err(|why| format!("--cors {origin:?}: {why}"))?;
    }
    Ok(Cors::Origins(origins.into_iter().map(str::to_owned).collect()))
}
