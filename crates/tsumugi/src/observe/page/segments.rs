//! Segments on the router's page.

use super::line;
use crate::observe::status::{DhcpStatus, Running};
use crate::observe::words;
use tsumugi_plan::explain::Lang;

pub fn segments(page: &mut String, running: &Running, lang: Lang) {
    if let Some(dhcp) = &running.dhcp {
        line(page, 1, &dhcp_words(dhcp, lang));
    }
}

fn dhcp_words(dhcp: &DhcpStatus, lang: Lang) -> String {
    let leases = dhcp.leases.len();
    match &dhcp.trouble {
        Some(trouble) => {
            let why = words::dhcp_trouble(trouble, lang);
            lang.pick(format!("no DHCP server: {why}"), format!("DHCPサーバーなし: {why}"))
        }
        None if dhcp.running => lang.pick(
            format!("DHCP server runs, {leases} addresses given"),
            format!("DHCPサーバー稼働中、割当{leases}件"),
        ),
        None => lang.pick("DHCP server is being started", "DHCPサーバーを起動しています").into(),
    }
}
