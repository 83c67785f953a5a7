//! `tsumugi replay`: see [`crate::replay`].

use super::{Failure, Outcome, complain, print};
use crate::replay::{Choice, Ended, Event, Session, Table};
use clap::Args;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tsumugi_core::id::Asn;
use tsumugi_plan::explain::Lang;

#[derive(Debug, Args)]
pub struct Replay {
    /// A table dump (TABLE_DUMP_V2), packed by gzip or not; `-` is standard input.
    file: PathBuf,
    /// The speaker that is told; of a link-local address with its link: fe80::1%eth0.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// The AS that tells it: the neighbour as which the speaker knows us.
    #[arg(long = "as", value_name = "ASN")]
    asn: u32,
    /// Whose routes of the dump: an AS number or an address; else of each prefix the first one.
    #[arg(long, value_name = "PEER")]
    from: Option<String>,
    /// The address to call from; else as the kernel prefers.
    #[arg(long, value_name = "ADDRESS")]
    local: Option<IpAddr>,
    /// Router id; else of the address called from.
    #[arg(long)]
    router_id: Option<Ipv4Addr>,
    /// Next hop of its family's routes, once for each family; else the address called from.
    #[arg(long, value_name = "ADDRESS")]
    next_hop: Vec<IpAddr>,
    #[arg(long, default_value_t = 179)]
    port: u16,
    /// How long the session stands once all is told, in seconds; else until it is interrupted.
    #[arg(long, value_name = "SECONDS")]
    stay: Option<u64>,
    /// Each event as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// Succeeds if everything that can be told was told and we ended the session.
pub fn run(replay: &Replay, lang: Lang) -> Outcome {
    let to = address(&replay.to, replay.port).ok_or_else(|| {
        let to = &replay.to;
        Failure::Said(lang.pick(
            format!("`{to}` is no address, as in 192.0.2.1, 2001:db8::1 or fe80::1%eth0"),
            format!("`{to}`はアドレスではありません (例: 192.0.2.1、2001:db8::1、fe80::1%eth0)"),
        ))
    })?;
    let session = Session {
        to,
        from: replay.local,
        asn: Asn(replay.asn),
        identifier: replay.router_id,
        next_hop4: replay
            .next_hop
            .iter()
            .find_map(|it| if let IpAddr::V4(it) = it { Some(*it) } else { None }),
        next_hop6: replay
            .next_hop
            .iter()
            .find_map(|it| if let IpAddr::V6(it) = it { Some(*it) } else { None }),
        stay: replay.stay.map(Duration::from_secs),
    };
    let table = read(&replay.file, choice(replay.from.as_deref(), lang)?, session.asn, lang)?;
    let quiet = !replay.json && !io::stderr().is_terminal();
    let say = |words: String, json: serde_json::Value| {
        print(&if replay.json { format!("{json}\n") } else { format!("{words}\n") })
    };
    say(table.words(lang), table.json())?;
    let mut told = false;
    let mut failure = None;
    let (_, ended) = session.run(&table, |event| {
        told |= matches!(event, Event::Told { .. });
        // Without somebody who watches, how far it is is only noise.
        if !(quiet && matches!(event, Event::Progress(_))) {
            failure = failure.take().or(say(event.words(table.routes, lang), event.json()).err());
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let json = serde_json::json!({ "event": "ended", "why": ended.words(Lang::En) });
    let sound = told && matches!(ended, Ended::Stopped);
    if replay.json || sound {
        say(ended.words(lang), json)?;
    } else {
        complain(&ended.words(lang));
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let Some((address, link)) = text.split_once('%') else {
        return text.parse().ok().map(|address: IpAddr| SocketAddr::new(address, port));
    };
    let index = nix::net::if_::if_nametoindex(link).ok()?;
    Some(SocketAddrV6::new(address.parse().ok()?, port, 0, index).into())
}

fn choice(from: Option<&str>, lang: Lang) -> Result<Choice, Failure> {
    let Some(from) = from else { return Ok(Choice::First) };
    let number = from.trim_start_matches("AS").parse().ok().map(|number| Choice::Asn(Asn(number)));
    number.or_else(|| from.parse().ok().map(Choice::Address)).ok_or_else(|| {
        Failure::Said(lang.pick(
            format!("`{from}` is neither an AS number nor an address"),
            format!("`{from}`はAS番号でもアドレスでもありません"),
        ))
    })
}

fn read(file: &Path, choice: Choice, own: Asn, lang: Lang) -> Result<Table, Failure> {
    let name = file.display();
    let table = if file == Path::new("-") {
        Table::read(io::stdin().lock(), choice, own)
    } else {
        let opened = File::open(file).map_err(|error| {
            Failure::Said(
                lang.pick(format!("cannot open {name}: {error}"), format!("{name}を開けません: {error}")),
            )
        })?;
        Table::read(BufReader::with_capacity(1 << 20, opened), choice, own)
    };
    table.map_err(|why| {
        let why = why.words(lang);
        Failure::Said(lang.pick(format!("{name} {why}"), format!("{name}: {why}")))
    })
}
